-- migrate: up
-- include: idempotency.sql

-- migrate: down
drop table idempotency;
