-- migrate: up
-- How far the text of a shared document was written into its field, so that nothing older follows.
create table document_texts (
    tenant_id uuid not null,
    record_id uuid not null,
    field text not null,
    seq bigint not null,
    primary key (tenant_id, record_id, field)
);
call isolate('document_texts');

-- migrate: down
drop table document_texts;
