-- migrate: up
-- What a dry run would have given to records: the values that only one may have, by digest, and who would have them. They
-- go with the run.
create table import_claims (
    tenant_id uuid not null,
    job_id uuid not null,
    digest bytea not null,
    holder text not null,
    primary key (tenant_id, job_id, digest)
);
call isolate('import_claims');

-- migrate: down
drop table import_claims;
