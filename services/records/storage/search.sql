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

-- name: alike
-- Words of readable fields that are one slip away: one letter more, less or another, or two that changed places. They
-- begin or end with a half of what was typed, or are what it is when the letters at its middle change places: each is
-- one range of an index that has all that is asked.
select found.word, found.tag from tenant cross join lateral (
    select word, tag from search_words
    where tenant_id = tenant.id and word >= $4 and word < $5 and tag = any($2::text[])
        and length(word) between length($3) - 1 and length($3) + 1
        and (levenshtein_less_equal(word, $3, 1) = 1 or word = any($9::text[]))
    union
    select word, tag from search_words
    where tenant_id = tenant.id and reverse(word) >= $6 and reverse(word) < $7 and tag = any($2::text[])
        and length(word) between length($3) - 1 and length($3) + 1
        and (levenshtein_less_equal(word, $3, 1) = 1 or word = any($9::text[]))
    union
    select word, tag from search_words
    where tenant_id = tenant.id and word >= $8 and word <= $8 and word <> $3 and tag = any($2::text[])
    limit 2000
) found;

-- name: similar
-- Words of readable fields that are spelt like one, the most similar first.
select found.word, found.tag from tenant cross join lateral (
    select word, tag from search_words
    where tenant_id = tenant.id and word % $3 and tag = any($2::text[])
        and length(word) between length($3) - 2 and length($3) + 2
    order by similarity(word, $3) desc, word, tag limit 400
) found;

-- name: inflected
-- Words of readable fields that have the same stem as one, and begin like it; they begin as the stem does, but for its
-- last letter.
, stem as materialized (
    select ts_lexize($3::text::regdictionary, $4) as stem
), begun as materialized (
    select case
        when starts_with($4, left(stem[1], -1)) and length(left(stem[1], -1)) > length($5) then left(stem[1], -1)
        else $5
    end as word from stem
)
select found.word, found.tag from tenant cross join lateral (
    select word, tag from search_words
    where tenant_id = tenant.id and word >= (select word from begun) and word < (select word from begun) || $6
        and tag = any($2::text[]) and not starts_with(word, $4)
        and ts_lexize($3::text::regdictionary, word) = (select stem from stem)
    order by word, tag limit 200
) found;

-- name: typed -> Hit
-- What was found as it was typed, the best first, with the bodies of those that all may be seen of.
, asked as materialized (
    select part, pipeline_id, begun::tsquery as begun, exact::tsquery as exact, title::tsquery as title,
        titled::tsquery as titled
    from unnest($7::integer[], $8::uuid[], $9::text[], $10::text[], $11::text[], $12::text[])
        as asked(part, pipeline_id, begun, exact, title, titled)
), {documents}, best as (
    select distinct on (record_id) record_id, pipeline_id, stage, rank from ({ranked}) found
    order by record_id, stage, rank
)
{page};

-- name: typed_documents
-- All that a part of what is asked for finds, by one look into the index. Where that is cut, those that come first are
-- looked for by themselves.
begun{number} as materialized ({begun}),
exact{number} as materialized ({exact}),
titled{number} as materialized ({titled});

-- name: typed_ranked
-- How well each was found; only so many are ranked.
select d.record_id, d.pipeline_id,
    case
        when d.document @@ asked.title then 0
        when d.document @@ asked.exact then 1
        when d.document @@ asked.titled then 2
        else 3
    end as stage,
    -(coalesce(ts_rank('{0.1, 0.2, 0.4, 1.0}', d.document, asked.begun), 0) * 1000000)::integer as rank
from (
    select record_id, pipeline_id, document from begun{number}
    union all select record_id, pipeline_id, document from exact{number}
    union all select record_id, pipeline_id, document from titled{number}
) d join asked on asked.part = {number} and asked.pipeline_id = d.pipeline_id;

-- name: mistyped -> Hit
-- What was only found because of slips, the best first.
, asked as materialized (
    select part, pipeline_id, slips::tsquery as slips, begun::tsquery as begun
    from unnest($7::integer[], $8::uuid[], $9::text[], $10::text[]) as asked(part, pipeline_id, slips, begun)
), {documents}, best as (
    select distinct on (record_id) record_id, pipeline_id, 4 as stage, rank from ({ranked}) found
    order by record_id, rank
)
{page};

-- name: mistyped_documents
-- All that a part of what is asked for finds.
slips{number} as materialized ({slips});

-- name: mistyped_ranked
-- How well each was found, of those that are not found without slips.
select d.record_id, d.pipeline_id,
    -(coalesce(ts_rank('{0.1, 0.2, 0.4, 1.0}', d.document, asked.slips), 0) * 1000000)::integer as rank
from slips{number} d join asked on asked.part = {number} and asked.pipeline_id = d.pipeline_id
where not coalesce(d.document @@ asked.begun, false);

-- name: documents
-- One look into the index.
select d.record_id, d.pipeline_id, d.document from tenant cross join lateral (
    select d.record_id, d.pipeline_id, d.document from search_documents d{seen}
    where d.tenant_id = tenant.id and d.document @@ {query}::text::tsquery{where} limit {most}
) d;

-- name: page
-- The best after a place, with the bodies of those in pipelines of which everything may be seen.
select best.record_id, best.pipeline_id, best.stage, best.rank, shown.body from (
    select best.record_id, best.pipeline_id, best.stage, best.rank, tenant.id as tenant_id
    from best cross join tenant
    where (best.stage, best.rank, best.record_id) > ($2::integer, $3::integer, $4::uuid)
    order by best.stage, best.rank, best.record_id limit $5
) best left join lateral (
    select {body} as body from records r
    where r.tenant_id = best.tenant_id and r.id = best.record_id and r.pipeline_id = best.pipeline_id
        and best.pipeline_id = any($6::uuid[]) and r.deleted_at is null
    offset 0
) shown on true
order by best.stage, best.rank, best.record_id;

-- name: cut
-- Where so many begin like it that not all of them are there.
 and (select count(1) from begun{number}) = {most};

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
-- until the transaction ends. Each is looked up by itself: the documents of all would be gone through for each batch.
select r.id, {data}::text as data from records r
where r.tenant_id = $1 and r.pipeline_id = $2 and r.id > $3 and r.deleted_at is null and (
    select d.shape from search_documents d where d.tenant_id = $1 and d.record_id = r.id
) is distinct from $4
order by r.id limit $5 for share of r;
