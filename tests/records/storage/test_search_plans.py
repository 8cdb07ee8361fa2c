"""Searches are index work under row level security, however much other tenants keep."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from libs.common.filters import Context
from libs.common.ids import new_id
from libs.common.permissions import Grant, Permissions
from libs.common.postgres import IN_TENANT, Lane
from libs.common.postgres import Database as Pool
from services.records.domain.definitions import Definition, Field
from services.records.domain.pipelines import Pipeline
from services.records.domain.reach import Reach
from services.records.domain.searching import question, scopes, shape_of, swaps
from services.records.storage import search
from services.records.storage.lanes import STEADY, WORDS
from services.records.storage.search import START, Outdated, Target
from tests.support.postgres import Database

CONTEXT = Context(datetime.now(UTC), None, UTC)
ROWS = 4_000
FILL = """
insert into records (tenant_id, id, pipeline_id, version, title, data, created_at, created_by, updated_at, updated_by)
select $1, id, $2, 1, title, jsonb_build_object('name', title), now(), $1, now(), $1
from unnest($3::uuid[], $4::text[]) as new(id, title)
"""


@dataclass
class Scene:
    """Many words of two tenants, as the service's role sees them as one of them."""

    connection: "asyncpg.Connection[asyncpg.Record]"
    tenant_id: UUID
    pipeline: Pipeline

    def target(self, grant: Grant) -> Target:
        """What someone with this grant searches."""
        reach = Reach(self.pipeline.id, {self.pipeline.id: self.pipeline}, Permissions([grant]))
        own = tuple(scopes(reach.access("read")))
        return Target(self.pipeline, shape_of(self.tenant_id, self.pipeline), own, reach)

    async def nodes(self, text: str, *params: object) -> list[dict[str, Any]]:
        """The nodes of a statement's plan."""
        plan = await self.connection.fetchval(f"explain (format json) {text}", *params)
        return list(flat(msgspec.json.decode(plan)[0]["Plan"]))

    async def indexes(self, text: str, *params: object) -> set[str]:
        """The indexes of a plan that reads no table from end to end."""
        nodes = await self.nodes(text, *params)
        assert [node for node in nodes if node["Node Type"] == "Seq Scan"] == []
        return {node["Index Name"] for node in nodes if "Index Name" in node}

    async def looked_in(self, lane: Lane, text: str, *params: object) -> set[str]:
        """The same of a statement that is asked in a lane, in a single round trip."""
        for name, value in lane.settings:
            await self.connection.execute("select set_config($1, $2, true)", name, value)
        return await self.indexes(IN_TENANT + text, str(self.tenant_id), *params)


def flat(node: dict[str, Any]) -> list[dict[str, Any]]:
    """A plan's nodes."""
    return [node, *(found for inner in node.get("Plans", ()) for found in flat(inner))]


@pytest.fixture
async def scene(database: Database) -> AsyncIterator[Scene]:
    """Two tenants with a pipeline each."""
    connection = await asyncpg.connect(database.dsn("records"))
    fields = tuple(Field(name=name, type="text", searchable=True) for name in ("name", "notes"))
    tenants = [new_id(), new_id()]
    pipelines = [Pipeline(Definition(new_id(), "Test", 1, fields)) for _ in tenants]
    for tenant, pipeline in zip(tenants, pipelines, strict=True):
        async with connection.transaction():
            await connection.execute("select set_config('app.tenant_id', $1, true)", str(tenant))
            shape = shape_of(tenant, pipeline)
            rows = [Outdated(new_id(), f"Person {word(n)}", {"name": f"Person {word(n)}"}) for n in range(ROWS)]
            await search.put(connection, tenant, pipeline.id, shape, rows)
            await connection.execute(FILL, tenant, pipeline.id, [row.id for row in rows], [row.title for row in rows])
    admin = await asyncpg.connect(database.admin_dsn)
    for table in ("records", "search_documents", "search_words"):
        await admin.execute(f"vacuum analyze records.{table}")
    await admin.close()
    await connection.execute("begin")
    await connection.execute("select set_config('app.tenant_id', $1, true)", str(tenants[0]))
    yield Scene(connection, tenants[0], pipelines[0])
    await connection.close()


def word(number: int) -> str:
    """A word of its own for each number."""
    return "".join(chr(ord("a") + number // 26**place % 26) for place in range(4))


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    """The service's connections."""
    pool = Pool(database.dsn("records"))
    await pool.start()
    yield pool
    await pool.stop()


@pytest.mark.parametrize("q", ["baab", "perso", "person ba", "person person"])
async def test_a_search_reads_the_index_of_words(scene: Scene, q: str) -> None:
    """Whether few or all records have the words, they are found by the index, and shown and judged by their keys."""
    rule = {"field": "name", "op": "contains", "value": "Person"}
    for grant, expected in (
        (Grant("*", ("*",)), {"search_documents_document", "records_pkey"}),
        (Grant("records", ("read",), row_rule=rule), {"search_documents_document", "records_pkey"}),
    ):
        target = scene.target(grant)
        text, params = search.statement(question(q), [target], CONTEXT, START, 50)
        # Where no pipeline is open, what would show its records is planned as what is never done, by any index.
        assert await scene.looked_in(WORDS, text, *params) - {"records_deleted"} == expected


async def test_a_slip_is_looked_for_where_it_is_known(scene: Scene, pool: Pool) -> None:
    """Words that differ by a slip are asked for in one look, and only those fields that have them are searched."""
    target = scene.target(Grant("*", ("*",)))
    tags = target.shape.tags(None)
    meant = msgspec.structs.replace(question("persno"), typos={"persno": {"person": tags[:1]}})
    text, params = search.statement(meant, [target], CONTEXT, START, 50, slips=True)
    assert await scene.looked_in(WORDS, text, *params) == {"search_documents_document", "records_pkey"}
    assert meant.only_mistyped(tags) == f"('{tags[0]}person')"
    hits = await search.search(pool, scene.tenant_id, meant, [target], CONTEXT, START, 50, slips=True)
    assert [hit.stage for hit in hits] == [4] * 50
    assert all(f'"id":"{hit.record_id}"' in (hit.body or "") for hit in hits)


async def test_similar_and_inflected_words_are_looked_up(scene: Scene) -> None:
    """Words with a half or a stem in common are ranges of indexes, those that are spelt alike have common trigrams."""
    tags = scene.target(Grant("*", ("*",))).shape.tags(None)
    halves = "per", f"per{search.LAST}", "ons", f"ons{search.LAST}", "pesron", swaps("persno")
    found = await scene.looked_in(STEADY, search.SQL["alike"], tags, "persno", *halves)
    assert found == {"search_words_begin", "search_words_end"}
    inflected = "english_stem", "persons", "per", search.LAST
    assert await scene.looked_in(STEADY, search.SQL["inflected"], tags, *inflected) == {"search_words_begin"}
    assert await scene.looked_in(WORDS, search.SQL["similar"], tags, "persno") == {"search_words_similar"}


@pytest.mark.parametrize(
    ("typed", "found"),
    [("persno", True), ("peron", True), ("perrson", True), ("pwrson", True), ("epr", False), ("prosen", False)],
)
async def test_one_slip_is_known_by_the_database(scene: Scene, pool: Pool, typed: str, found: bool) -> None:
    """A letter more, less or another, or two that changed places, and nothing else."""
    tags = scene.target(Grant("*", ("*",))).shape.tags(None)
    assert await search.alike(pool, scene.tenant_id, tags, typed) == ({"person": [tags[0]]} if found else {})


async def test_forgetting_words_looks_each_up(scene: Scene) -> None:
    """Whether another record says a word is asked of the index of words, without the settings of a search."""
    lexemes = [f"{scene.target(Grant('*', ('*',))).shape.parts[0].tag}{word(n)}" for n in range(50)]
    found = await scene.indexes(search.SQL["unlearn"], scene.tenant_id, lexemes)
    assert found == {"search_documents_document", "search_words_begin"}


async def test_what_is_very_common_is_cut(scene: Scene, pool: Pool) -> None:
    """Of thousands of records with a word no more than a bounded number is ranked, and it takes no long time."""
    target = scene.target(Grant("*", ("*",)))
    hits = await search.search(pool, scene.tenant_id, question("person"), [target], CONTEXT, START, 10_000)
    assert search.MOST <= len(hits) <= 4 * search.MOST < ROWS


async def test_words_are_known_once_and_never_of_another_tenant(scene: Scene, pool: Pool) -> None:
    """A word that many records have is kept once for its field; another tenant's words correct nothing."""
    count = await scene.connection.fetchval("select count(1) from search_words where word = 'person'")
    assert count == 1
    stranger = scene.target(Grant("*", ("*",))).shape.tags(None)
    assert await search.similar(pool, new_id(), stranger, "persno") == {}
    assert await search.alike(pool, new_id(), stranger, "persno") == {}
    assert await search.alike(pool, scene.tenant_id, stranger, "persno") != {}
