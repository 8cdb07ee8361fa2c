"""Fields marked as indexed get an index of their own, while others go on writing."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import msgspec
import pytest

from libs.common.ids import new_id
from libs.common.permissions import Grant, Permissions
from services.records.domain.definitions import Definition, Field
from services.records.domain.indexes import wanted
from services.records.domain.pipelines import Pipeline
from services.records.domain.reach import Reach
from services.records.storage import indexes
from services.records.usecases.indexing import Indexer
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
        self.indexer = Indexer(database.dsn("migrate"))

    async def want(self, *fields: Field, deleted: bool = False) -> list[str]:
        """Announces a definition, as the consumer notes it; the names of its indexes."""
        found = wanted(Definition(self.pipeline, "Test", 1, fields, deleted=deleted))
        connection: Any = await asyncpg.connect(self.database.dsn("records"))
        async with connection.transaction():
            await connection.execute("select set_config('app.tenant_id', $1, true)", str(self.tenant))
            await indexes.want(connection, self.tenant, self.pipeline, found)
        await connection.close()
        return [index.name for index in found]

    async def done(self) -> None:
        """Returns when nothing is left to do."""

        async def none_open() -> bool:
            return await self.admin.fetchval(OPEN) == 0

        await eventually(none_open)

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
    assert await builder.names() == set(both)
    assert len(both) == 2
    one = await builder.want(FIELDS[1])
    await builder.done()
    assert await builder.names() == set(one)
    await builder.want(*FIELDS, deleted=True)
    await builder.done()
    assert await builder.names() == set()


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
    building = "select count(*) from pg_stat_progress_create_index"

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
