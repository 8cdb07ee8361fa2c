"""Migrations bear old code and busy tables, forwards and backwards, on data."""

from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from libs.common import migrate
from ops import migrations, schema
from ops.migrations import Fault, all_faults
from tests.support.postgres import Database


def one(tmp_path: Path, up: str, *head: str) -> list[Fault]:
    """The faults of a migration."""
    path = tmp_path / "0001_x.sql"
    path.write_text("\n".join([*head, "-- migrate: up", up, "-- migrate: down", "select 1;", ""]))
    return migrations.faults("records", path)


def test_no_migration_breaks_old_code_or_blocks_writers() -> None:
    """Each expands the schema, or says in which release and why it may contract it (`docs/release.md`)."""
    assert [str(fault) for fault in all_faults()] == []


@pytest.mark.parametrize(
    ("up", "rule"),
    [
        ("drop table records;", "ban-drop-table"),
        ("alter table records drop column version;", "ban-drop-column"),
        ("alter table records rename column version to v;", "renaming-column"),
        ("alter table records rename to notes;", "renaming-table"),
        ("alter table records alter column version type numeric;", "changing-column-type"),
        ("alter table records alter column data set not null;", "adding-not-nullable-field"),
        ("alter table records add column owner uuid not null;", "adding-required-field"),
        ("alter table records add column at timestamptz default clock_timestamp();", "adding-field-with-default"),
        ("create index on records (version);", "require-concurrent-index-creation"),
        ("alter table records add constraint c check (version > 0);", "constraint-missing-not-valid"),
        ("alter table records add constraint u unique (version);", "disallowed-unique-constraint"),
    ],
)
def test_what_contracts_or_blocks_is_refused(tmp_path: Path, up: str, rule: str) -> None:
    """By name, unless its file says in which release it is accepted and why."""
    assert rule in {fault.rule for fault in one(tmp_path, up)}
    accepted = [f"-- accept: {fault.rule} in 0.2.0: nobody needs it since 0.1.0" for fault in one(tmp_path, up)]
    assert one(tmp_path, up, *accepted) == []


def test_an_excuse_has_a_release_and_a_reason_and_is_needed(tmp_path: Path) -> None:
    """Without them it does not count, and one for nothing is a fault itself."""
    up = "alter table records drop column version;"
    assert [fault.rule for fault in one(tmp_path, up, "-- accept: ban-drop-column")] == ["ban-drop-column"]
    told = one(tmp_path, "create table t (a int);", "-- accept: ban-drop-table in 0.2.0: old")
    assert [fault.message for fault in told] == ["is accepted and does not occur"]


def test_what_only_adds_is_let_through(tmp_path: Path) -> None:
    """A table with its indexes, a column, a constraint that is validated later, an index without blocking."""
    assert one(tmp_path, "create table t (a int); create index on t (a);") == []
    assert one(tmp_path, "alter table records add column note text, add column n smallint not null default 0;") == []
    assert one(tmp_path, "alter table records add constraint c check (version > 0) not valid;") == []
    path = tmp_path / "0001_x.sql"
    path.write_text(
        "-- migrate: alone\n-- migrate: up\ncreate index concurrently if not exists records_v on records (version);\n"
        "-- migrate: down\ndrop index concurrently if exists records_v;\n"
    )
    assert migrations.faults("records", path) == []


VALUES = {
    "uuid": "gen_random_uuid()", "text": "left(md5(random()::text), 8)", "jsonb": "'{}'", "boolean": "true",
    "timestamp with time zone": "now()", "bytea": "'\\x0123456789abcdef0123456789abcdef'::bytea", "inet": "'127.0.0.1'",
    "smallint": "1", "integer": "1", "bigint": "1", "numeric": "1", "double precision": "1", "date": "current_date",
    "xid8": "pg_current_xact_id()", "tsvector": "'a'",
}  # fmt: skip
COLUMNS = """
    select c.relname as table, a.attname as name, format_type(a.atttypid, a.atttypmod) as type
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relnamespace = $1::text::regnamespace and c.relkind = 'r' and not c.relispartition
      and c.relname <> 'schema_migrations' and a.attnotnull and not a.atthasdef and a.attidentity = ''
      and a.attgenerated = ''
    order by 1, a.attnum
"""


async def filled(database: Database, service: str) -> tuple[set[str], set[str]]:
    """Puts rows into every table that takes made-up ones; the tables that did, and all."""
    connection = await asyncpg.connect(database.admin_dsn)
    try:
        await connection.execute(f"set session_replication_role = replica; set search_path = {service}, extensions")
        tables: dict[str, list[tuple[str, str]]] = {}
        for row in await connection.fetch(COLUMNS, service):
            tables.setdefault(row["table"], []).append((row["name"], row["type"]))
        taken = set()
        for table, columns in tables.items():
            names = ", ".join(name for name, _ in columns)
            values = ", ".join(_value(kind) for _, kind in columns)
            try:
                for _ in range(3):
                    await connection.execute(f"insert into {table} ({names}) values ({values})")  # noqa: S608
                taken.add(table)
            except asyncpg.IntegrityConstraintViolationError:
                continue
        return taken, set(tables)
    finally:
        await connection.close()


def _value(kind: str) -> str:
    return "'{}'" if kind.endswith("[]") else VALUES[kind]


def _numbers(service: str) -> Iterator[int]:
    yield from reversed(range(1, len(migrate.read(service, schema.path(service).parent)) + 1))


@pytest.mark.integration
@pytest.mark.parametrize("service", migrate.SERVICES)
async def test_every_step_goes_back_and_forth_on_data(database: Database, service: str) -> None:
    """With rows in the tables each migration is taken back, made again, and taken back for good."""
    taken, tables = await filled(database, service)
    assert len(taken) > len(tables) / 2, tables - taken
    directory, dsn = schema.path(service).parent, database.dsn("migrate")
    for number in _numbers(service):
        assert len(await migrate.down(dsn, service, directory, to=number - 1)) == 1
        assert len(await migrate.up(dsn, service, directory, to=number)) == 1
        await migrate.down(dsn, service, directory, to=number - 1)
