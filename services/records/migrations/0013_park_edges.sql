-- migrate: up
-- What a relationship leaves room for while one of its records is in the trash: 1 for its source's one target, 2 for its
-- target's one source.
alter table edges add column parked smallint not null default 0;

-- migrate: down
alter table edges drop column parked;
