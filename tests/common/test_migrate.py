import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from libs.common import migrate
from libs.common.migrate import MigrationError
from ops.embedded import Postgres
from tests.support.guard import PASSWORD
from tests.support.postgres import PASSWORDS
from tests.support.postgres import Database as Clone
from tests.support.waiting import eventually

ONE = "-- migrate: up\ncreate table one (a int);\n-- migrate: down\ndrop table one;\n"
TWO = "-- migrate: up\ncreate table two (a int);\n-- migrate: down\ndrop table two;\n"
BAD = "-- migrate: up\ncreate table three (a int);\nselect 1 / 0;\n-- migrate: down\ndrop table three;\n"


@pytest.fixture
async def empty(database_template: Postgres) -> AsyncIterator[Clone]:
    """A database with roles and schemas, and nothing in them."""
    admin = await asyncpg.connect(database_template.url)
    database = Clone(database_template, f"test_{uuid4().hex}")
    await admin.execute(f"create database {database.name}")
    await migrate.bootstrap(database.admin_dsn, PASSWORDS)
    yield database
    await admin.execute(f"drop database {database.name} with (force)")
    await admin.close()


def files(directory: Path, *texts: str) -> Path:
    """A directory of migrations, numbered from 1."""
    for number, text in enumerate(texts, 1):
        (directory / f"{number:04}_m{number}.sql").write_text(text)
    return directory


async def tables(database: Clone) -> set[str]:
    """The tables of the schema."""
    connection = await asyncpg.connect(database.admin_dsn)
    rows = await connection.fetch(
        "select relname from pg_class where relnamespace = 'records'::regnamespace and relkind = 'r'"
    )
    await connection.close()
    return {row["relname"] for row in rows} - {"schema_migrations"}


async def up(database: Clone, directory: Path, to: int | None = None) -> list[str]:
    """Apply what is missing."""
    return await migrate.up(database.dsn("migrate"), "records", directory, to)


async def test_up_applies_what_is_missing(empty: Clone, tmp_path: Path) -> None:
    """In order, up to a number if one is given, and each once."""
    directory = files(tmp_path, ONE, TWO)
    assert await up(empty, directory, to=1) == ["0001_m1"]
    assert await tables(empty) == {"one"}
    assert await up(empty, directory) == ["0002_m2"]
    assert await up(empty, directory) == []
    assert await tables(empty) == {"one", "two"}


async def test_down_takes_back_what_is_above(empty: Clone, tmp_path: Path) -> None:
    """Newest first, down to a number."""
    directory = files(tmp_path, ONE, TWO)
    await up(empty, directory)
    assert await migrate.down(empty.dsn("migrate"), "records", directory, to=1) == ["0002_m2"]
    assert await tables(empty) == {"one"}
    assert await migrate.down(empty.dsn("migrate"), "records", directory, to=0) == ["0001_m1"]
    assert await tables(empty) == set()


async def test_a_migration_that_fails_leaves_nothing(empty: Clone, tmp_path: Path) -> None:
    """What it had done is taken back, those before it stay, and it can be mended and applied."""
    with pytest.raises(asyncpg.DivisionByZeroError):
        await up(empty, files(tmp_path, ONE, TWO, BAD))
    assert await tables(empty) == {"one", "two"}
    assert await up(empty, files(tmp_path, ONE, TWO, BAD.replace("/ 0", "/ 1"))) == ["0003_m3"]


async def test_a_landed_migration_is_not_edited(empty: Clone, tmp_path: Path) -> None:
    """Another way up under a number that is applied is refused; another way down is not."""
    await up(empty, files(tmp_path, ONE))
    assert await up(empty, files(tmp_path, ONE.replace("drop table", "drop table if exists"))) == []
    with pytest.raises(MigrationError, match="0001_m1 was edited"):
        await up(empty, files(tmp_path, ONE.replace("int", "bigint")))


async def test_of_many_at_once_one_migrates(empty: Clone, tmp_path: Path) -> None:
    """Five processes that start together apply each migration once, and none fails."""
    directory = files(tmp_path, ONE, TWO)
    applied = await asyncio.gather(*(up(empty, directory) for _ in range(5)))
    assert sorted(name for names in applied for name in names) == ["0001_m1", "0002_m2"]


async def test_services_do_not_share_their_migrations(empty: Clone, tmp_path: Path) -> None:
    """The same files for two services make tables in two schemas."""
    directory = files(tmp_path, ONE)
    await up(empty, directory)
    assert await migrate.up(empty.dsn("migrate"), "auth", directory) == ["0001_m1"]


async def test_shared_tables_are_included(empty: Clone, tmp_path: Path) -> None:
    """An included file stands in the migration, with the service's name filled in."""
    text = (
        "-- migrate: up\n-- include: tenancy.sql\n-- include: outbox.sql\n-- migrate: down\ndrop table outbox, inbox;\n"
    )
    (migration,) = migrate.read("records", files(tmp_path, text))
    assert "millrace_records_relay" in migration.up
    assert "{service}" not in migration.up
    await up(empty, tmp_path)
    assert await tables(empty) == {"outbox", "inbox"}


async def test_bootstrapping_again_changes_nothing(empty: Clone, tmp_path: Path) -> None:
    """Run at every start, also by several at once, it leaves roles, schemas and tables as they are."""
    await up(empty, files(tmp_path, ONE))
    await asyncio.gather(*(migrate.bootstrap(empty.admin_dsn, PASSWORDS) for _ in range(3)))
    assert await tables(empty) == {"one"}
    connection = await asyncpg.connect(empty.dsn("records"), password=PASSWORD)
    await connection.execute("insert into one values (1)")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("drop table one")
    await connection.close()


def test_numbers_have_no_gap(tmp_path: Path) -> None:
    """A number that is missing is seen before anything is applied."""
    (tmp_path / "0002_x.sql").write_text(ONE)
    with pytest.raises(MigrationError, match="numbered"):
        migrate.read("records", tmp_path)


def test_a_way_back_is_needed(tmp_path: Path) -> None:
    """A file without both sections is refused by name."""
    with pytest.raises(MigrationError, match="0001_m1"):
        migrate.read("records", files(tmp_path, "create table one (a int);"))


async def test_databases_of_one_server_are_bootstrapped_at_once(database_template: Postgres) -> None:
    """Their roles are the same rows; whoever comes second tries again."""
    admin = await asyncpg.connect(database_template.url)
    databases = [Clone(database_template, f"test_{uuid4().hex}") for _ in range(3)]
    try:
        for database in databases:
            await admin.execute(f"create database {database.name}")
        for _ in range(2):
            await asyncio.gather(*(migrate.bootstrap(database.admin_dsn, PASSWORDS) for database in databases))
    finally:
        for database in databases:
            await admin.execute(f"drop database {database.name} with (force)")
        await admin.close()


INDEX = (
    "-- migrate: alone\n-- migrate: up\ncreate index concurrently if not exists one_a on one (a);\n"
    "-- migrate: down\ndrop index concurrently if exists one_a;\n"
)

WAITING = """
    select exists (
        select from pg_stat_activity
        where query like '%index concurrently%' and wait_event_type = 'Lock' and datname = current_database()
    )
"""


async def test_an_index_of_a_busy_table_is_made_alone(empty: Clone, tmp_path: Path) -> None:
    """Outside a transaction, while others write; what is left of one that broke off is made anew."""
    await up(empty, files(tmp_path, ONE))
    admin = await asyncpg.connect(empty.admin_dsn)
    await admin.execute("create index one_a on records.one (a)")
    await admin.execute("update pg_index set indisvalid = false where indexrelid = 'records.one_a'::regclass")
    writer = await asyncpg.connect(empty.dsn("records"))
    transaction = writer.transaction()
    await transaction.start()
    await writer.execute("insert into one values (1)")
    making = asyncio.create_task(up(empty, files(tmp_path, ONE, INDEX)))

    async def waits() -> bool:
        return bool(await admin.fetchval(WAITING))

    await eventually(waits)
    second = await asyncpg.connect(empty.dsn("records"), timeout=5)
    await second.execute("insert into one values (2)", timeout=5)
    await transaction.commit()
    assert await making == ["0002_m2"]
    assert await admin.fetchval("select indisvalid from pg_index where indexrelid = 'records.one_a'::regclass")
    assert await migrate.down(empty.dsn("migrate"), "records", tmp_path, to=1) == ["0002_m2"]
    for connection in (admin, writer, second):
        await connection.close()


def test_only_an_index_is_made_alone(tmp_path: Path) -> None:
    """What may not be repeated needs a transaction."""
    text = "-- migrate: alone\n-- migrate: up\nupdate one set a = 2;\n-- migrate: down\nselect 1;\n"
    with pytest.raises(MigrationError, match="alone is one index"):
        migrate.read("records", files(tmp_path, text))
