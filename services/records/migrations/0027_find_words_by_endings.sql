-- migrate: alone
-- migrate: up
create index concurrently if not exists search_words_end on search_words (tenant_id, reverse(word), tag, word);

-- migrate: down
drop index concurrently if exists search_words_end;
