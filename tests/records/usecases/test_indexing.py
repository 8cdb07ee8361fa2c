"""Fields marked as indexed get an index of their own, while others go on writing."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from libs.common.ids import new_id
from libs.common.permissions import Grant, Permissions
from services.records.domain.definitions import Definition, Field
from services.records.domain.indexes import MAX_INDEXED, Room, wanted
from services.records.domain.pipelines import Pipeline
from services.records.domain.reach import Reach
from services.records.domain.resting import Resting
from services.records.domain.views import View
from services.records.storage import views
from services.records.usecases import indexing
from services.records.usecases.indexing import Indexer, want
from tests.records.storage.test_plans import FILL, Scene
from tests.support.postgres import Database
from tests.support.waiting import eventually

FIELDS = tuple(
    Field(name=name, type=kind, indexed=True)
    for name, kind in (("name", "text"), ("code", "number"), ("tags", "tags"), ("extra", "json"))
)
CHANGE = "update records.records set version = version + 1 where tenant_id = $1 and pipeline_id = $2 and id = any($3)"
TWO = "select id from records.records where pipeline_id = $1 limit 2"
OPEN = "select count(*) from records.field_indexes where not ready"
NAMES = "select indexname from pg_indexes where schemaname = 'records' and indexname ~ '^field_[0-9a-f]{32}$'"


class Builder:
    """The loop on a database with ten thousand records in each of two pipelines."""

    def __init__(self, database: Database, admin: "asyncpg.Connection[asyncpg.Record]") -> None:
        self.database = database
        self.admin = admin
        self.tenant, self.pipeline, self.other = new_id(), new_id(), new_id()
        self.indexer = Indexer(database.dsn("migrate"), rest_seconds=0)

    async def want(
        self, *fields: Field, pipeline: UUID | None = None, view: View | None = None, **more: Any
    ) -> set[str]:
        """Announces a definition, or a view of it, as the consumer notes it; the names of its indexes."""
        definition = Definition(pipeline or self.pipeline, "Test", 1, fields, **more)
        connection: Any = await asyncpg.connect(self.database.dsn("records"))
        async with connection.transaction():
            await connection.execute("select set_config('app.tenant_id', $1, true)", str(self.tenant))
            if view is not None:
                await views.put(connection, self.tenant, view)
            await want(connection, self.tenant, definition)
        await connection.close()
        return {index.name for index in wanted(definition, [view] if view else [])}

    async def done(self) -> None:
        """Returns when nothing is left to do."""

        async def none_open() -> bool:
            return await self.admin.fetchval(OPEN) == 0

        await eventually(none_open)

    async def is_ready(self, pipeline: UUID) -> bool:
        """Whether the indexes of a pipeline are there."""
        every = "select count(*) > 0 and bool_and(ready) from records.field_indexes where pipeline_id = $1"
        return bool(await self.admin.fetchval(every, pipeline))

    async def names(self) -> set[str]:
        """The indexes of fields that are there."""
        return {row[0] for row in await self.admin.fetch(NAMES)}


@pytest.fixture
async def builder(database: Database) -> AsyncIterator[Builder]:
    """A running loop."""
    admin = await asyncpg.connect(database.admin_dsn)
    made = Builder(database, admin)
    await admin.execute(FILL, made.tenant, [made.pipeline, made.other])
    await admin.execute("vacuum analyze records.records")
    await made.indexer.start()
    yield made
    await made.indexer.stop()
    await admin.close()


async def test_indexes_of_a_tenant_that_is_gone_are_dropped(builder: Builder) -> None:
    """Its rows go with the rest of it, and then nobody wants them."""
    await builder.want(*FIELDS)
    await builder.done()
    await builder.admin.execute("delete from records.field_indexes where tenant_id = $1", builder.tenant)
    await builder.admin.execute("notify field_indexes")

    async def none() -> bool:
        return not await builder.names()

    await eventually(none)


async def test_indexes_follow_the_definition(builder: Builder) -> None:
    """They are built for fields that have an order, kept while wanted, and dropped with the mark or the pipeline."""
    both = await builder.want(*FIELDS)
    await builder.done()
    assert await builder.names() == both
    assert len(both) == 2
    one = await builder.want(FIELDS[1])
    await builder.done()
    assert await builder.names() == one
    await builder.want(*FIELDS, deleted=True)
    await builder.done()
    assert await builder.names() == set()


async def test_nobody_takes_all_indexes(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenant that wants more than there may be gets half of what others leave, and those who come later some."""
    monkeypatch.setattr(indexing, "MAX_BUILT", 8)
    many = [Field(name=f"f{number:02}", type="text", indexed=True) for number in range(12)]
    await builder.want(*many, pipeline=builder.pipeline)
    first, builder.tenant = builder.tenant, new_id()
    ready = "select count(*) from records.field_indexes where tenant_id = $1 and ready"

    async def has(tenant: UUID, count: int) -> bool:
        return bool(await builder.admin.fetchval(ready, tenant) == count)

    await eventually(lambda: has(first, 4))
    await builder.want(*many, pipeline=builder.other)
    await eventually(lambda: has(builder.tenant, 2))
    assert await has(first, 4)


def test_there_is_room_for_others() -> None:
    """Whatever a tenant has taken, another finds half of the rest; who has more than that by now gets no more."""
    one, other = new_id(), new_id()
    room = Room(500, {one: 250})
    assert (room.left(one), room.left(other)) == (0, 125)
    room.take(other)
    assert (room.left(one), room.left(other)) == (-1, 124)
    assert Room(10, {one: 10}).left(other) == 0


async def test_unique_fields_and_those_of_views_are_indexed_where_it_is_worth_it(builder: Builder) -> None:
    """Large pipelines get the indexes, small ones do not; they go when no view speaks of the field any more."""
    name, code, _, _ = plain = tuple(msgspec.structs.replace(field, indexed=False) for field in FIELDS)
    unique = (msgspec.structs.replace(name, unique=True), code)
    view = View(new_id(), builder.pipeline, 1, "shared", new_id(), {"and": [{"field": "code", "op": "gt", "value": 1}]})
    await builder.want(*unique, pipeline=new_id())
    both = await builder.want(*unique, view=view)

    async def built(names: set[str]) -> bool:
        return await builder.names() == names

    await eventually(lambda: built(both))
    assert len(both) == 2
    gone = msgspec.structs.replace(view, version=2, deleted=True)
    await eventually(partial(built, await builder.want(*unique, view=gone)))
    await builder.want(*plain)
    await eventually(lambda: built(set()))


async def test_an_index_of_a_view_that_goes_and_comes_is_built_once(database: Database) -> None:
    """It stays for a while when no view speaks of its field, and is used again when one does."""
    admin = await asyncpg.connect(database.admin_dsn)
    made = Builder(database, admin)
    made.indexer = Indexer(database.dsn("migrate"))
    await admin.execute(FILL, made.tenant, [made.pipeline])
    await made.indexer.start()
    view = View(new_id(), made.pipeline, 1, "shared", new_id(), {"and": [{"field": "code", "op": "gt", "value": 1}]})
    code, built = msgspec.structs.replace(FIELDS[1], indexed=False), "select 'records.%s'::regclass::oid"
    (name,) = await made.want(code, view=view)
    await made.done()
    first = await admin.fetchval(built % name)
    await made.want(code, view=msgspec.structs.replace(view, version=2, deleted=True))
    await made.want(FIELDS[0], pipeline=made.other)
    await eventually(lambda: made.is_ready(made.other))
    await made.want(code, view=msgspec.structs.replace(view, version=3))
    await made.done()
    assert await admin.fetchval(built % name) == first
    await made.indexer.stop()
    await admin.close()


def test_what_rests_is_over_after_a_while_unless_it_is_woken() -> None:
    """It rests once for so long; what is woken has to rest anew, and what is not heard of any more is forgotten."""
    resting = Resting(10)
    assert [resting.over("one", 0), resting.over("two", 1), resting.over("three", 1)] == [False] * 3
    assert resting.names(5) == ["one", "two", "three"]
    assert [resting.wake("two"), resting.wake("two")] == [True, False]
    assert [resting.over("one", 11), resting.over("two", 11)] == [True, False]
    assert resting.over("two", 25)
    assert len(resting) == 0


def test_a_pipeline_has_so_many_indexes_and_no_more() -> None:
    """What is asked for comes first, then unique fields, then what most views bound or order their lists by."""
    kinds = {"indexed": 2, "unique": 2, "seen": 20}
    fields = [Field(name=f"{kind}{n}", type="number", indexed=kind == "indexed", unique=kind == "unique")
              for kind, count in kinds.items() for n in range(count)]  # fmt: skip
    pipeline = Definition(new_id(), "Test", 1, (*fields, Field(name="price", type="currency")))
    every = View(new_id(), pipeline.id, 1, "shared", new_id(), {"or": [{"field": f"seen{n}"} for n in range(20)]})
    often = msgspec.structs.replace(every, filter={"not": {"field": "seen3"}}, sort="-seen19,seen1")
    part = msgspec.structs.replace(every, filter={"field": "price.amount", "op": "between", "value": [1, 2]})
    spoken = [index.expression for index in wanted(pipeline, [every, often, often, part, part, part])]
    assert len(spoken) == MAX_INDEXED
    for place, name in enumerate(("indexed0", "indexed1", "unique0", "unique1", "price", "seen19", "seen0", "seen1")):
        assert f"'{name}'" in spoken[place]


async def test_definitions_that_were_there_get_their_indexes(database: Database) -> None:
    """A builder that starts where there are definitions builds what they ask for, without any change of theirs."""
    admin = await asyncpg.connect(database.admin_dsn)
    definition = Definition(new_id(), "Test", 1, FIELDS)
    text = msgspec.json.encode(definition).decode()
    put = "insert into records.pipelines (tenant_id, id, version, definition) values ($1, $2, 1, $3::text::jsonb)"
    await admin.execute(put, new_id(), definition.id, text)
    indexer = Indexer(database.dsn("migrate"))
    await indexer.start()

    async def built() -> bool:
        return {row[0] for row in await admin.fetch(NAMES)} == {index.name for index in wanted(definition)}

    await eventually(built)
    await indexer.stop()
    await admin.close()


async def test_a_build_that_broke_off_is_begun_anew(builder: Builder) -> None:
    """An invalid index of the name is dropped and built again, whole."""
    (name,) = await builder.want(FIELDS[1])
    await builder.done()
    await builder.admin.execute(
        "update pg_index set indisvalid = false where indexrelid = $1::regclass", f"records.{name}"
    )
    await builder.admin.execute("update records.field_indexes set ready = false; notify field_indexes")
    await builder.done()
    valid = "select indisvalid from pg_index where indexrelid = $1::regclass"
    assert await builder.admin.fetchval(valid, f"records.{name}")


async def test_writers_do_not_wait_for_a_build(builder: Builder) -> None:
    """While a build waits for an old transaction, others write to the same pipeline without waiting."""
    holder, writer = [await asyncpg.connect(builder.database.admin_dsn) for _ in range(2)]
    old = holder.transaction()
    await old.start()
    ids = [row[0] for row in await builder.admin.fetch(TWO, builder.pipeline)]
    await holder.execute(CHANGE, builder.tenant, builder.pipeline, ids[:1])
    await builder.want(FIELDS[1])
    building = "select count(*) from pg_stat_progress_create_index where datname = current_database()"

    async def begun() -> bool:
        return bool(await builder.admin.fetchval(building))

    await eventually(begun)
    await writer.execute("set lock_timeout = '100ms'")
    await writer.execute(CHANGE, builder.tenant, builder.pipeline, ids[1:])
    assert await builder.admin.fetchval(building) == 1
    await old.commit()
    await builder.done()
    await asyncio.gather(holder.close(), writer.close())


@pytest.mark.parametrize(
    ("query", "sort"), [("filter[code][gte]=9990", None), ("", "-code"), ("filter[name][starts_with]=n99", "name")]
)
async def test_lists_use_the_index_under_row_level_security(builder: Builder, query: str, sort: str | None) -> None:
    """A bounded or sorted page of the pipeline is the field's index."""
    built = set(await builder.want(*FIELDS))
    await builder.done()
    pipeline = Pipeline(Definition(builder.pipeline, "Test", 1, FIELDS))
    reach = Reach(pipeline.id, {pipeline.id: pipeline}, Permissions([Grant("*", ("*",))]))
    connection = await asyncpg.connect(builder.database.dsn("records"))
    await connection.execute("begin")
    await connection.execute("select set_config('app.tenant_id', $1, true)", str(builder.tenant))
    scene = Scene(connection, builder.tenant, reach)
    text, params = scene.query(query, sort)
    used = await scene.indexes(text, *params)
    await connection.close()
    assert used & built
    assert used <= {*built, "records_pipeline"}
