-- migrate: up
-- Whoever fills the list of what is still to be written into such an index writes it all, and who wants the same
-- records waits meanwhile: 200 ms and more where pages are written for the first time since a checkpoint. Records have
-- no list, which costs nothing (18 µs for one); words that are new to a tenant keep some of it, as three letters in
-- them are in many others (18 µs for one with 512 kB, 30 with 128, 41 without).
alter index records_data reset (gin_pending_list_limit);
alter index records_data set (fastupdate = off);
alter index search_documents_document set (gin_pending_list_limit = 64);
alter index search_words_similar set (gin_pending_list_limit = 128);
select gin_clean_pending_list('records_data'::regclass);

-- migrate: down
alter index search_words_similar set (gin_pending_list_limit = 512);
alter index search_documents_document set (gin_pending_list_limit = 512);
alter index records_data set (fastupdate = on, gin_pending_list_limit = 512);
