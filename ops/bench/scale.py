"""One pipeline of 100,000 records in a graph of a million relationships: pages, relations and walks, by 32 clients.

The records are made through the API, most relationships by SQL. What each is compared with is plain SQL over the same
rows, by the bare application and the same number of clients.
"""

import random
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import asyncpg

from ops.bench.figures import Figure
from ops.bench.filling import fill, settle
from ops.bench.generator import Result
from ops.bench.requests import Side, request, run
from ops.bench.stage import Stage

RECORDS = 100_000
KNOWN = 8  # relationships by SQL that each record has; its two relations make the million
CLIENTS = 32
PAGES = 1000
PAGE = 50
_SAMPLE = 200

_COPY = """
create table bench.scale as select tenant_id, id, pipeline_id, version, title, data, created_at, created_by, updated_at,
    updated_by from records.records where pipeline_id = '{pipeline}';
"""
_INDEX = """
alter table bench.scale add primary key (tenant_id, pipeline_id, id);
create index on bench.scale (tenant_id, pipeline_id, ((data->'score')::numeric) desc, id);
analyze bench.scale;
"""
_NUMBERED = """
create table bench.numbered as select row_number() over (order by id) - 1 as n, tenant_id, id, pipeline_id, created_by
from records.records where pipeline_id = '{pipeline}';
alter table bench.numbered add primary key (n);
analyze bench.numbered;
"""
_KNOWS = """
insert into records.edges (tenant_id, id, type, source_id, source_pipeline, target_id, target_pipeline, field,
    one_target, one_source, created_at, created_by)
select near.tenant_id, uuidv7(), 'knows', near.id, near.pipeline_id, far.id, far.pipeline_id, '', false, false, now(),
    near.created_by
from bench.numbered near cross join generate_series(1, $1::int) as place
join bench.numbered far on far.n = (near.n * 7919 + place * 104729) % (select count(*) from bench.numbered)
on conflict do nothing
"""


@dataclass(frozen=True)
class Place:
    """The big pipeline and some of its records."""

    path: str
    pipeline: str
    ids: list[str]


async def measure(stage: Stage) -> list[Figure]:
    """Every figure."""
    place = await _prepare(stage)
    first, deep = await _pages(stage, place)
    filtered = f"{place.path}?{quote('filter[score][gte]')}=900&sort=-score&limit={PAGE}"
    expand = f"{place.path}?expand=company,team&limit={PAGE}"
    three = [f"/api/v1/records/{one}/traverse?path=knows,knows,knows&direction=out&limit=200" for one in place.ids]
    return [
        _compare(stage, "filtered and sorted page", [filtered], [f"scale/{place.pipeline}"], 50),
        _figure(f"page {PAGES:,} by cursor", deep, first, None, "beside page 1"),
        _compare(stage, "two relations of 50 expanded", [expand], [f"expand/{place.pipeline}"], 50),
        _compare(stage, "three hops to 500", three, [f"three-hops/{one}" for one in place.ids], 100),
    ]


async def _prepare(stage: Stage) -> Place:
    company = await _pipeline(stage, "scale-companies", [{"name": "name", "type": "text"}])
    team = await _pipeline(stage, "scale-teams", [{"name": "name", "type": "text"}])
    companies, teams = await fill(stage, company, _names(1000)), await fill(stage, team, _names(100))
    fields: list[dict[str, Any]] = [
        {"name": "name", "type": "text"},
        {"name": "score", "type": "number", "indexed": True},
        _relation("company", company),
        _relation("team", team),
    ]
    pipeline = await _pipeline(stage, "scale", fields)
    rows = [
        {"name": f"Person {n}", "score": n * 7919 % 1000, "company": companies[n % 1000], "team": teams[n % 100]}
        for n in range(RECORDS)
    ]
    ids = await fill(stage, pipeline, rows)
    await stage.api.post("/relationship-types", {"name": "knows", "inverse_name": "known_by"})
    await _graph(stage, pipeline)
    return Place(f"/api/v1/pipelines/{pipeline}/records", pipeline, random.sample(ids, _SAMPLE))


def _names(number: int) -> list[dict[str, Any]]:
    return [{"name": f"Name {n}"} for n in range(number)]


def _relation(name: str, target: str) -> dict[str, Any]:
    return {
        "name": name, "type": "relation", "target_pipeline": target, "relationship_type": f"scale_{name}",
        "cardinality": "many_to_one",
    }  # fmt: skip


async def _pipeline(stage: Stage, slug: str, fields: list[dict[str, Any]]) -> str:
    body = {"name": slug, "slug": slug, "schema_definition": {"fields": fields}}
    made: dict[str, str] = await stage.api.post("/pipelines", body)
    return made["id"]


async def _graph(stage: Stage, pipeline: str) -> None:
    connection = await asyncpg.connect(stage.plan.admin_url)
    try:
        await connection.execute(_NUMBERED.format(pipeline=pipeline))
        await connection.execute(_KNOWS, KNOWN, timeout=180)
        await connection.execute(_COPY.format(pipeline=pipeline))
        await connection.execute(_INDEX)
    finally:
        await connection.close()
    await settle(stage)


async def _pages(stage: Stage, place: Place) -> tuple[Result, Result]:
    """The first page, and the one that a walk of a thousand pages comes to."""
    query = f"{place.path}?sort=-score&limit={PAGE}"
    cursor = ""
    for _ in range(PAGES - 1):
        page = await stage.api.get(f"{place.path.removeprefix('/api/v1')}?sort=-score&limit={PAGE}{cursor}")
        cursor = f"&cursor={page['next_cursor']}"
    return run(_side(stage, [query])), run(_side(stage, [query + cursor]))


def _side(stage: Stage, paths: list[str]) -> Side:
    return Side(stage.gateway, [request("GET", path, stage.api.token) for path in paths], CLIENTS)


def _compare(stage: Stage, name: str, ours: list[str], plain: list[str], most: float) -> Figure:
    base = Side(stage.bare, [request("GET", f"/{stage.tenant}/{path}") for path in plain], CLIENTS)
    return _figure(name, run(_side(stage, ours)), run(base), most, "beside plain SQL")


def _figure(name: str, ours: Result, base: Result, most: float | None, beside: str) -> Figure:
    note = f"{ours.rate:,.0f}/s, {beside} {base.rate:,.0f}/s"
    least = None if most is not None else 0.0
    return Figure(
        f"{name}, p95 of {CLIENTS} clients", ours.p95_ms, "ms", base.p95_ms, least=least, most=most, note=note
    )
