-- migrate: alone
-- migrate: up
drop index concurrently if exists search_words_word;

-- migrate: down
create index concurrently if not exists search_words_word on search_words (tenant_id, tag, word);
