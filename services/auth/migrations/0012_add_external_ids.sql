-- accept: require-concurrent-index-creation in 0.1.0: before the first release
-- migrate: up

-- What people and roles are called by the system that provisions them (SCIM's `externalId`).
alter table users add column external_id text;
create index users_external_id on users (tenant_id, external_id) where external_id is not null;
alter table roles add column external_id text;

-- migrate: down
alter table roles drop column external_id;
drop index users_external_id;
alter table users drop column external_id;
