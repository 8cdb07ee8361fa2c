-- name: put
-- The words of records that are new or changed.
insert into search_documents (tenant_id, record_id, pipeline_id, shape, document)
select $1, new.record_id, $2, $3, new.document::tsvector
from unnest($4::uuid[], $5::text[]) as new(record_id, document)
on conflict (tenant_id, record_id) do update set document = excluded.document, shape = excluded.shape;

-- name: learn
-- Words that were not known of a field; each is looked up by itself, however many they are.
insert into search_words (tenant_id, tag, word)
select $1, new.tag, new.word from unnest($2::text[], $3::text[]) as new(tag, word)
where (
    select true from search_words known
    where known.tenant_id = $1 and known.tag = new.tag and known.word = new.word limit 1
) is null;

-- name: remove
-- Records that are in the trash, or gone, are not found; what they said comes back.
with gone as (
    delete from search_documents where tenant_id = $1 and record_id = any($2::uuid[]) returning document
)
select distinct lexeme from gone cross join lateral unnest(tsvector_to_array(gone.document)) as lexeme limit $3;

-- name: unlearn
-- Words that no record says any more. Of one that another transaction says for the first time since, a slip is not
-- found until it is said again.
delete from search_words where tenant_id = $1 and ctid = any(array(
    select known.place from unnest($2::text[]) as gone(lexeme) cross join lateral (
        select w.ctid as place from search_words w
        where w.tenant_id = $1 and w.tag = left(gone.lexeme, 8) and w.word = substr(gone.lexeme, 9) offset 0
    ) known
    where (
        select true from search_documents d
        where d.tenant_id = $1 and d.document @@ ('''' || gone.lexeme || '''')::tsquery limit 1
    ) is null
));

-- name: similar
-- Words of readable fields that are spelt like one, the most similar first.
select word from search_words
where tenant_id = $1 and word % $3 and tag = any($2::text[])
group by word order by similarity(word, $3) desc, word limit 200;

-- name: inflected
-- Words of readable fields that have the same stem as one, and begin like it.
select known.word
from unnest($2::text[]) as readable(tag) cross join lateral (
    select word from search_words
    where tenant_id = $1 and tag = readable.tag and word >= $5 and word < $6
        and ts_lexize($3::text::regdictionary, word) = ts_lexize($3::text::regdictionary, $4)
    limit 20
) known
group by known.word order by known.word limit 20;

-- name: bounds
-- A search that takes longer is ended, and none reads a table from end to end, nor a tenant's rows one by one in the
-- hope that enough of them will do. Two letters that changed places leave of six a quarter of the trigrams.
select set_config('statement_timeout', $1, true), set_config('enable_seqscan', 'off', true),
    set_config('enable_indexscan', 'off', true),
    set_config('pg_trgm.similarity_threshold', '0.2', true);

-- name: search -> Hit
-- What was found, the best first.
with asked as materialized (
    select pipeline_id, query::tsquery as query from unnest($2::uuid[], $3::text[]) as asked(pipeline_id, query)
), found as materialized (
    {branches}
), best as (
    select distinct on (record_id) record_id, pipeline_id, stage, rank from found order by record_id, stage, rank
)
select record_id, pipeline_id, stage, rank from best
where (stage, rank, record_id) > ($4::integer, $5::integer, $6::uuid)
order by stage, rank, record_id limit $7;

-- name: branch
-- One way of being found; only so many are ranked.
(
    select d.record_id, d.pipeline_id, {stage} as stage,
        -(ts_rank('{0.1, 0.2, 0.4, 1.0}', d.document, asked.query) * 1000000)::integer as rank
    from (
        select d.record_id, d.pipeline_id, d.document from search_documents d{seen}
        where d.tenant_id = $1 and d.document @@ {query}::text::tsquery
        limit {most}
    ) d join asked on asked.pipeline_id = d.pipeline_id
)

-- name: seen
-- Beside a document: whether its record may be seen, which is looked up for each by itself.
 cross join lateral (
    select 1 from records r
    where r.tenant_id = d.tenant_id and r.id = d.record_id and r.pipeline_id = {place} and r.deleted_at is null
        and {condition}
    offset 0
) seen;

-- name: outdated
-- Records whose words are not kept as their pipeline's shape is now, in the order of their ids; they stay as they are
-- until the transaction ends.
select r.id, {data}::text as data from records r
where r.tenant_id = $1 and r.pipeline_id = $2 and r.id > $3 and r.deleted_at is null and not exists (
    select 1 from search_documents d where d.tenant_id = $1 and d.record_id = r.id and d.shape = $4
)
order by r.id limit $5 for share of r;
