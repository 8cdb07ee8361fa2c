"""The migrations, the schema written for reading, and the way back agree."""

import asyncpg
import pytest

from libs.common import migrate
from ops import schema
from tests.support.postgres import Database


@pytest.mark.integration
@pytest.mark.parametrize("service", migrate.SERVICES)
async def test_the_schema_for_reading_is_what_the_migrations_make(database: Database, service: str) -> None:
    """`migrations/schema.sql` is the dump of a migrated database; `task schema` writes it anew."""
    assert schema.dump(database.admin_dsn, service) == schema.path(service).read_text()


@pytest.mark.integration
@pytest.mark.parametrize("service", migrate.SERVICES)
async def test_the_way_back_leaves_nothing(database: Database, service: str) -> None:
    """Down to 0 takes every table and routine away, and up again makes the same schema."""
    directory = schema.path(service).parent
    await migrate.down(database.dsn("migrate"), service, directory, to=0)
    assert await _left(database, service) == ["schema_migrations"]
    await migrate.up(database.dsn("migrate"), service, directory)
    assert schema.dump(database.admin_dsn, service) == schema.path(service).read_text()


async def _left(database: Database, service: str) -> list[str]:
    connection = await asyncpg.connect(database.admin_dsn)
    rows = await connection.fetch(
        "select relname as name from pg_class"
        " where relnamespace = $1::text::regnamespace and relkind in ('r', 'v', 'S')"
        " union all select proname from pg_proc where pronamespace = $1::text::regnamespace",
        service,
    )
    await connection.close()
    return [row["name"] for row in rows]
