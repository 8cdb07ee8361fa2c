-- migrate: up
-- One row for each record that is not in the trash: the words of its searchable fields, each with the tag of its field,
-- which is made from tenant, pipeline and field, so that one index serves all and a search asks for fields by their tags.
create table search_documents (
    tenant_id uuid not null,
    record_id uuid not null,
    pipeline_id uuid not null,
    shape bigint not null,
    document tsvector not null,
    primary key (tenant_id, record_id)
);
create index search_documents_document on search_documents using gin (document) with (gin_pending_list_limit = 512);
create index search_documents_pipeline on search_documents (tenant_id, pipeline_id, record_id);
call isolate('search_documents');

-- The words that occur in a field, for whoever mistypes one; a word may be there twice when two came with it at once.
create table search_words (
    tenant_id uuid not null,
    tag text collate "C" not null,
    word text collate "C" not null
);
create index search_words_word on search_words (tenant_id, tag, word);
create index search_words_similar on search_words using gin (tenant_id, word gin_trgm_ops)
    with (gin_pending_list_limit = 512);
call isolate('search_words');

-- migrate: down
drop table search_words;
drop table search_documents;
