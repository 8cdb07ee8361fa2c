-- migrate: up
-- include: purge.sql

-- migrate: down
drop function purge_rows;
drop table purges;
