-- name: next
-- The number of the next entry and the hash of the last one. Until the transaction ends nobody else gets a number.
insert into audit_heads (tenant_id, seq, hash) values ($1, 1, '')
on conflict (tenant_id) do update set seq = audit_heads.seq + 1 returning seq, hash;

-- name: salts
-- What names of these people are encrypted with; who has none gets the one that is offered.
with made as (
    insert into audit_salts (tenant_id, person_id, salt) select $1, new.person_id, new.salt
    from unnest($2::uuid[], $3::bytea[]) as new(person_id, salt)
    on conflict do nothing returning person_id, salt
)
select person_id, salt, true as made from made
union all select person_id, salt, false from audit_salts where tenant_id = $1 and person_id = any($2);

-- name: known_salts
select person_id, salt from audit_salts where tenant_id = $1 and person_id = any($2::uuid[]);

-- name: erase_salt
insert into audit_salts (tenant_id, person_id, salt) values ($1, $2, null)
on conflict (tenant_id, person_id) do update set salt = null;

-- name: append_after
-- An entry behind one whose number and hash are known, if that is still the last.
with head as (
    update audit_heads set seq = $2, hash = $8
    where tenant_id = $1 and seq = $2::bigint - 1 and hash = $9 returning seq
)
insert into audit_log (tenant_id, seq, at, action, actor_id, target_id, document, hash)
select $1, head.seq, $3::timestamptz, $4::text, $5::uuid, $6::uuid, $7::text, $8 from head returning true;

-- name: append
with head as (update audit_heads set hash = $8 where tenant_id = $1)
insert into audit_log (tenant_id, seq, at, action, actor_id, target_id, document, hash)
values ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: head
select seq, hash from audit_heads where tenant_id = $1;

-- name: chain -> Kept
select seq, at, action, actor_id, target_id, document, hash from audit_log
where tenant_id = $1 and seq > $2 order by seq limit $3;

-- name: page -> Kept
-- Newest first.
select seq, at, action, actor_id, target_id, document, hash from audit_log
where tenant_id = $1 and seq < $2
    and ($3::text is null or action = $3) and ($4::text is null or starts_with(action, $4))
    and ($5::uuid is null or actor_id = $5) and ($6::uuid is null or target_id = $6)
    and ($7::timestamptz is null or at >= $7) and ($8::timestamptz is null or at < $8)
order by seq desc limit $9;

-- name: count
select count(*) from audit_log
where tenant_id = $1
    and ($2::text is null or action = $2) and ($3::text is null or starts_with(action, $3))
    and ($4::uuid is null or actor_id = $4) and ($5::uuid is null or target_id = $5)
    and ($6::timestamptz is null or at >= $6) and ($7::timestamptz is null or at < $7);
