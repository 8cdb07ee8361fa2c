-- name: position
select position from positions where name = $1;

-- name: begin_position
-- Where to begin, unless that is known already.
insert into positions (name, position) values ($1, $2) on conflict do nothing;

-- name: advance_position
update positions set position = greatest(position, $2) where name = $1;

-- name: reset_position
-- The stream was made anew, and counts from the beginning.
update positions set position = $2 where name = $1;
