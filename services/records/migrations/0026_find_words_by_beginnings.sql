-- migrate: alone
-- migrate: up
create index concurrently if not exists search_words_begin on search_words (tenant_id, word, tag);

-- migrate: down
drop index concurrently if exists search_words_begin;
