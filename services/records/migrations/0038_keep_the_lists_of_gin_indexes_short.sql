-- migrate: up
-- Whoever fills the list of what is still to be written into such an index writes it all, and who wants the same
-- records waits meanwhile: 300 ms with 512 kB. Without a list imports are a fifth slower; words that are new to a tenant
-- keep more of it, as three letters in them are in many others.
alter index records_data set (gin_pending_list_limit = 64);
alter index search_documents_document set (gin_pending_list_limit = 64);
alter index search_words_similar set (gin_pending_list_limit = 128);

-- migrate: down
alter index search_words_similar set (gin_pending_list_limit = 512);
alter index search_documents_document set (gin_pending_list_limit = 512);
alter index records_data set (gin_pending_list_limit = 512);
