"""The hot statements are index work under row level security, as the service's own role."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from libs.common import filters
from libs.common.filters import Context
from libs.common.ids import new_id
from libs.common.permissions import Grant, Permissions
from libs.common.postgres import IN_TENANT
from libs.common.postgres import Database as PoolOf
from services.records.domain.definitions import Definition, Field
from services.records.domain.expansion import branches, parse_expand
from services.records.domain.favourites import Favourites
from services.records.domain.masks import Masks
from services.records.domain.paths import Step
from services.records.domain.pipelines import Pipeline
from services.records.domain.reach import Reach
from services.records.storage import listing, records, walks
from services.records.storage.listing import Query
from tests.support.postgres import Database

FILL = """
insert into records.records (tenant_id, id, pipeline_id, version, title, data, created_at, created_by, updated_at,
    updated_by)
select $1, uuidv7(), pipeline, 1, 'n' || n, jsonb_build_object('name', 'n' || n, 'stage', (array['new', 'won', 'lost',
    'open', 'void', 'idle', 'late', 'held'])[1 + n % 8], 'code', n), now() + n * interval '1 s', $1, now(), $1
from unnest($2::uuid[]) pipeline, generate_series(1, 5000) n
"""
RELATE = """
with numbered as materialized (
    select id, pipeline_id, row_number() over (order by id) n from records.records where tenant_id = $1
)
insert into records.edges (tenant_id, id, type, source_id, source_pipeline, target_id, target_pipeline, field,
    one_target, one_source, created_at, created_by)
select $1, uuidv7(), 'knows', a.id, a.pipeline_id, b.id, b.pipeline_id, '', false, false, now(), $1
from numbered a cross join lateral (values (a.n / 10), (a.n / 7)) near(n) join numbered b on b.n = near.n
on conflict do nothing
"""
INDEX = """
create index field_code on records.records
    (tenant_id, (case when jsonb_typeof(data->'code') = 'number' then (data->'code')::numeric end), id)
    where pipeline_id = '{pipeline}' and deleted_at is null
"""
CONTEXT = Context(datetime.now(UTC), None, UTC)
EVERYTHING = Masks(Permissions(()))


@dataclass
class Scene:
    """Many records of two tenants, seen by the service's role as one of them."""

    connection: "asyncpg.Connection[asyncpg.Record]"
    tenant_id: UUID
    reach: Reach

    async def nodes(self, text: str, *params: object) -> list[dict[str, Any]]:
        """The nodes of a statement's plan."""
        plan = await self.connection.fetchval(f"explain (format json) {text}", *params)
        return list(flat(msgspec.json.decode(plan)[0]["Plan"]))

    async def indexes(self, text: str, *params: object) -> set[str]:
        """The indexes of a plan that reads no table from end to end."""
        nodes = await self.nodes(text, *params)
        assert [node for node in nodes if node["Node Type"] == "Seq Scan"] == []
        return {node["Index Name"] for node in nodes if "Index Name" in node}

    async def planned(self, text: str, *params: object) -> tuple[int, int]:
        """How often a statement that was run ten times had a plan that was there, and one of its own."""
        prepared = await self.connection.prepare(text)
        for _ in range(10):
            await prepared.fetch(*params)
        counts = "select generic_plans, custom_plans from pg_prepared_statements where name = $1"
        row = await self.connection.fetchrow(counts, prepared.get_name())
        assert row is not None
        return row[0], row[1]

    async def kept(self, text: str) -> set[str]:
        """The indexes of the plan that a statement has for all values."""
        explain = f"execute $q$explain (generic_plan, format json) {text}$q$ into plan"
        keep = "perform set_config('test.plan', plan::text, true)"
        await self.connection.execute(f"do $do$ declare plan json; begin {explain}; {keep}; end $do$")
        plan = await self.connection.fetchval("select current_setting('test.plan')")
        return {node["Index Name"] for node in flat(msgspec.json.decode(plan)[0]["Plan"]) if "Index Name" in node}

    def query(
        self,
        text: str = "",
        sort: str | None = None,
        after: Sequence[object] | None = None,
        expand: str | None = None,
        often: bool = True,
    ) -> tuple[str, list[object]]:
        """The statement of a page."""
        favourites = Favourites(often=0) if often else Favourites(room=0)
        written, params = listing.writing(self.page(50, text, sort, after, expand), favourites)
        return IN_TENANT + written, [str(self.tenant_id), *params]

    def page(
        self,
        limit: int,
        text: str = "",
        sort: str | None = None,
        after: Sequence[object] | None = None,
        expand: str | None = None,
    ) -> Query:
        """A page of the pipeline."""
        node = filters.parse_query([tuple(text.split("=", 1))], self.reach.schema) if text else None  # type: ignore[list-item]
        order = filters.parse_sort(sort, self.reach.schema)
        access = self.reach.access("read")
        expanded = branches(parse_expand(expand, self.reach.schema), access, self.reach)
        assert expanded is not None
        return Query(
            access=access, schema=self.reach.schema, context=CONTEXT, node=node, sort=order, using=frozenset(),
            after=after, binding="", limit=limit, branches=expanded,
        )  # fmt: skip


def flat(node: dict[str, Any]) -> list[dict[str, Any]]:
    """A plan's nodes."""
    return [node, *(found for inner in node.get("Plans", ()) for found in flat(inner))]


@pytest.fixture
async def scene(database: Database) -> AsyncIterator[Scene]:
    """Two tenants with two pipelines each, five thousand records in each of them."""
    tenants, pipelines = [new_id(), new_id()], [[new_id(), new_id()] for _ in range(2)]
    admin = await asyncpg.connect(database.admin_dsn)
    for tenant, own in zip(tenants, pipelines, strict=True):
        await admin.execute(FILL, tenant, own)
    await admin.execute(RELATE, tenants[0])
    await admin.execute(INDEX.format(pipeline=pipelines[0][0]))
    await admin.execute("vacuum analyze records.records")
    await admin.execute("vacuum analyze records.edges")
    await admin.close()
    fields = tuple(
        Field(name=name, type=kind) for name, kind in (("name", "text"), ("stage", "text"), ("code", "number"))
    )
    near, far = pipelines[0]
    pipeline = Pipeline(
        Definition(near, "Test", 1, (*fields, Field(name="boss", type="relation", target_pipeline=far)))
    )
    bosses = Pipeline(Definition(far, "Bosses", 1, fields))
    reach = Reach(near, {near: pipeline, far: bosses}, Permissions([Grant("*", ("*",))]))
    connection = await asyncpg.connect(database.dsn("records"))
    await connection.execute("begin")
    await connection.execute("select set_config('app.tenant_id', $1, true)", str(tenants[0]))
    yield Scene(connection, tenants[0], reach)
    await connection.close()


async def test_one_record_is_found_by_its_key(scene: Scene) -> None:
    """Reading one record touches the primary key alone."""
    access = scene.reach.access("read")
    params: list[object] = [scene.tenant_id, scene.reach.pipeline.id, new_id()]
    body = records.body(access, params, CONTEXT)
    text = records.fill("get", body=body, condition=access.condition(params, CONTEXT))
    assert await scene.indexes(text, *params) == {"records_pkey"}
    alone = records.fill("look_up", body=body, condition="true")
    assert await scene.indexes(IN_TENANT + alone, str(scene.tenant_id), *params[1:]) == {"records_pkey"}


async def test_lists_follow_an_index(scene: Scene) -> None:
    """The plain list, the newest first, and a filter by an equal value each read an index, and only their part."""
    for often in (True, False):
        text, params = scene.query(often=often)
        assert await scene.indexes(text, *params) == {"records_pipeline"}
        text, params = scene.query(sort="-updated_at", often=often)
        assert await scene.indexes(text, *params) == {"records_updated"}
    text, params = scene.query("filter[code]=77")
    assert await scene.indexes(text, *params) == {"records_data"}


@pytest.mark.parametrize("after", [None, [Decimal(2500), UUID(int=0)]])
async def test_pages_by_an_indexed_field_are_planned_once(scene: Scene, after: list[object] | None) -> None:
    """A page in the order of an indexed field, bounded or not, the first or a late one, reads that field's index alone
    and is not planned each time.
    """
    for bound in ("", "filter[code][gte]=1000"):
        text, params = scene.query(bound, "-code", after)
        assert await scene.indexes(text, *params) == {"field_code"}
        assert not [node for node in await scene.nodes(text, *params) if node["Node Type"] == "Sort"]
        generic, _ = await scene.planned(text, *params)
        assert generic > 0
        assert await scene.kept(text) == {"field_code"}


async def test_a_rare_page_has_the_statement_of_all_rare_ones(scene: Scene) -> None:
    """Pages that are not asked often have the same statement whatever their pipeline; its plan for all values reads no
    more than their part, and the index of a field serves them as well.
    """
    text, params = scene.query(often=False)
    assert str(scene.reach.pipeline.id) not in text
    assert await scene.kept(text) == {"records_pipeline"}
    text, params = scene.query(sort="-code", often=False)
    assert await scene.indexes(text, *params) == {"field_code"}


async def test_few_pages_have_statements_of_their_own(scene: Scene, database: Database) -> None:
    """However many pipelines are listed in turn, they leave the connection's statements alone; one that is listed again
    and again has its own.
    """
    pool = PoolOf(database.dsn("records"), pool_size=1)
    await pool.start()
    turns = [scene.page(limit) for limit in range(1, 120)]
    for asked in turns * 2:
        await listing.written(pool, scene.tenant_id, asked)
    async with pool.system() as connection:
        rare = await connection.fetchval("select count(1) from pg_prepared_statements")
    for _ in range(20):
        await listing.written(pool, scene.tenant_id, turns[-1])
    async with pool.system() as connection:
        texts = await connection.fetch("select statement from pg_prepared_statements")
    await pool.stop()
    assert rare < 40
    assert any(str(scene.reach.pipeline.id) in row[0] for row in texts)


async def test_relations_to_one_record_are_expanded_by_keys(scene: Scene) -> None:
    """What a page expands is found by its key, in the statement of the page, which is planned once."""
    text, params = scene.query(sort="-code", expand="boss")
    assert await scene.indexes(text, *params) <= {"field_code", "records_pipeline", "records_pkey"}
    generic, _ = await scene.planned(text, *params)
    assert generic > 0


async def test_a_hop_looks_up_both_ends(scene: Scene) -> None:
    """A step finds relationships by source and by target in indexes that have all that is asked, for whatever ids."""
    ids = [row["id"] for row in await scene.connection.fetch("select id from records limit 10")]
    params: list[object] = [scene.tenant_id, ids, ids[:1], ids[5:], 10_001]
    await scene.connection.execute(walks.BOUNDS)
    found = await scene.nodes(walks.hopping(Step(None, True, True), EVERYTHING, params), *params)
    scans = {(node["Node Type"], node["Index Name"]) for node in found if "Index Name" in node}
    assert scans == {("Index Only Scan", name) for name in ("edges_out", "edges_in", "records_trash")}
    hashed = [node for node in found if "hashed SubPlan" in str(node.get("Filter", "")) + str(node.get("Output", ""))]
    assert hashed != []


async def test_a_walk_looks_up_both_ends(scene: Scene) -> None:
    """A whole path is walked in indexes that have all that is asked; of records only the first one's row is read."""
    start = await scene.connection.fetchval("select id from records limit 1")
    params: list[object] = [scene.tenant_id, start, UUID(int=0), 50]
    steps = [Step("knows", True, False), Step("knows", False, True), Step(None, True, True)]
    found = await scene.nodes(walks.statement(steps, EVERYTHING, params), *params)
    scans = {(node["Node Type"], node["Index Name"]) for node in found if "Index Name" in node}
    covered = {("Index Only Scan", name) for name in ("edges_out", "edges_in", "records_trash")}
    assert scans == {("Index Scan", "records_pkey"), *covered}
    assert [node for node in found if node["Node Type"] == "Seq Scan"] == []


async def test_a_walk_with_its_page_looks_up_both_ends(scene: Scene) -> None:
    """The same by one who may see everything, whose page is read by the keys of its records."""
    start = await scene.connection.fetchval("select id from records limit 1")
    params: list[object] = [None, start, UUID(int=0), 50]
    steps = [Step("knows", True, False), Step("knows", False, True), Step(None, True, True)]
    await scene.connection.execute(walks.BOUNDS)
    text = IN_TENANT + walks.stating_at_once(steps, EVERYTHING, params, ends_only=False)
    found = await scene.nodes(text, str(scene.tenant_id), *params[1:])
    scans = {(node["Node Type"], node["Index Name"]) for node in found if "Index Name" in node}
    covered = {("Index Only Scan", name) for name in ("edges_out", "edges_in", "records_trash")}
    assert scans == {("Index Scan", "records_pkey"), *covered}
    assert [node for node in found if node["Node Type"] == "Seq Scan"] == []


async def test_a_single_round_trip_is_of_one_tenant_as_well(scene: Scene, database: Database) -> None:
    """A lookup sees its tenant's rows alone even where its statement forgets them, and leaves no tenant behind."""
    pool = PoolOf(database.dsn("records"), pool_size=1)
    await pool.start()
    forgetful = (
        "from tenant cross join lateral (select count(1) as n from records where tenant.id is not null offset 0) f"
    )
    own = await pool.look_up(scene.tenant_id, f"select n {forgetful}")
    other = await pool.look_up(new_id(), f"select n {forgetful}")
    async with pool.system() as connection:
        left = await connection.fetchval("select count(1) from records")
    await pool.stop()
    assert (own and own["n"], other and other["n"], left) == (10_000, 0, 0)


async def test_forgetting_the_tenant_leaks_nothing(scene: Scene) -> None:
    """Without a where clause the service's role sees the rows of the transaction's tenant alone."""
    tenants = await scene.connection.fetch("select distinct tenant_id from records")
    assert [row["tenant_id"] for row in tenants] == [scene.tenant_id]
    await scene.connection.execute("rollback")
    assert await scene.connection.fetchval("select count(1) from records") == 0
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await scene.connection.execute(
            "insert into operations (tenant_id, principal_id, operation_id, record_id, version, created_at)"
            " values ($1, $1, 'x', $1, 1, now())",
            scene.tenant_id,
        )
