"""Migrations: numbered SQL files per service, up and down, under an advisory lock.

A file `0001_create_records.sql` has a section `-- migrate: up` and one `-- migrate: down`; `-- include: outbox.sql`
pulls in `libs/common/ddl/outbox.sql`; `{service}` stands for the service's name. Each runs in one transaction with lock
and statement timeouts, and is noted with its checksum in `schema_migrations` of the service's schema.

A file that says `-- migrate: alone` above its sections has one statement each way, `create index concurrently if not
exists` or `drop index concurrently if exists`, which blocks no writer and so takes its time outside a transaction.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import asyncpg

DDL = Path(__file__).parent / "ddl"
SERVICES = ("auth", "pipelines", "records", "realtime")

_INCLUDE = re.compile(r"^-- include: (\S+)\s*$", re.MULTILINE)
_SECTIONS = re.compile(r"^-- migrate: up\s*$(.*)^-- migrate: down\s*$(.*)\Z", re.MULTILINE | re.DOTALL)

_LOCK_TIMEOUT, _STATEMENT_TIMEOUT = "5s", "10min"
_ALONE = "-- migrate: alone\n"
_CONCURRENT = re.compile(
    r"(?:--[^\n]*\n)*(?:create (?:unique )?index concurrently if not exists|drop index concurrently if exists)"
    r" (?P<index>\w+)[^;]*;"
)
_IS_BROKEN = "select not indisvalid from pg_index where indexrelid = to_regclass($1)"

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class MigrationError(Exception):
    """The schema and the migrations do not fit together."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step of a service's schema."""

    number: int
    name: str
    up: str
    down: str
    alone: bool = False

    @property
    def checksum(self) -> str:
        """SHA-256 over the way up; a landed migration is never edited."""
        return hashlib.sha256(self.up.encode()).hexdigest()


def read(service: str, directory: Path) -> list[Migration]:
    """The migrations of a service, in order, numbered from 1 without gaps."""
    found = [parse(service, path) for path in sorted(directory.glob("[0-9]*.sql"))]
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise MigrationError(f"{service}: migrations are not numbered 1, 2, 3 …")
    return found


def parse(service: str, path: Path) -> Migration:
    """One file of a service."""
    text = _INCLUDE.sub(lambda match: (DDL / match[1]).read_text(), path.read_text())
    sections = _SECTIONS.search(text)
    if sections is None:
        raise MigrationError(f"{path.name}: sections '-- migrate: up' and '-- migrate: down' are needed")
    up, down = (section.replace("{service}", service).strip() for section in sections.groups())
    alone = text[: sections.start()].find(_ALONE) >= 0
    if alone and not all(_CONCURRENT.fullmatch(section) for section in (up, down)):
        raise MigrationError(f"{path.name}: alone is one index, concurrently, if not exists and if exists")
    return Migration(int(path.name[:4]), path.stem, up, down, alone)


async def bootstrap(admin_dsn: str, passwords: Mapping[str, str]) -> None:
    """Creates the roles and empty schemas, with the rights of a superuser; running it again changes only passwords.

    `passwords` is by role: `migrate`, `auth`, `pipelines`, `records`, `realtime`, and if it is wanted `watch`, which
    may read the server's statistics.
    """
    connection = await asyncpg.connect(admin_dsn, timeout=10)
    try:
        await connection.execute("select pg_advisory_lock(hashtext('millrace bootstrap'))")
        await _patiently(lambda: _bootstrap(connection, passwords))
    finally:
        await connection.close()


async def _bootstrap(connection: Connection, passwords: Mapping[str, str]) -> None:
    async with connection.transaction():
        await _roles(connection, passwords)
        if "watch" in passwords:
            await connection.execute("grant pg_monitor to millrace_watch")
        for service in SERVICES:
            await connection.execute((DDL / "bootstrap_service.sql").read_text().replace("{service}", service))
        await connection.execute((DDL / "bootstrap.sql").read_text())


async def _patiently(work: Callable[[], Awaitable[None]]) -> None:
    """Again when another database of the server is bootstrapped at once: roles are of all, an advisory lock of one."""
    for pause in (0.1, 0.2, 0.4, 0.8, 1.6):
        try:
            return await work()
        except (asyncpg.InternalServerError, asyncpg.UniqueViolationError):
            await asyncio.sleep(pause)
    await work()


async def _roles(connection: Connection, passwords: Mapping[str, str]) -> None:
    for role, password in passwords.items():
        name = f"millrace_{role}"
        exists = await connection.fetchval("select true from pg_roles where rolname = $1", name)
        verb = "alter" if exists else "create"
        quoted = await connection.fetchval("select quote_literal($1::text)", password)
        await connection.execute(f"{verb} role {name} login nosuperuser nobypassrls nocreaterole password {quoted}")


async def up(dsn: str, service: str, directory: Path, to: int | None = None) -> list[str]:
    """Applies what is missing, up to a number; returns the names that were applied."""
    applied = []
    async with _locked(dsn, service) as connection:
        present = await _present(connection)
        for migration in read(service, directory):
            if migration.number in present:
                _compare(migration, present[migration.number])
            elif to is None or migration.number <= to:
                await _apply(connection, migration)
                applied.append(migration.name)
    return applied


async def down(dsn: str, service: str, directory: Path, to: int) -> list[str]:
    """Takes back everything above a number, newest first; returns the names that were taken back."""
    undone = []
    async with _locked(dsn, service) as connection:
        present = await _present(connection)
        for migration in reversed(read(service, directory)):
            if migration.number in present and migration.number > to:
                async with _step(connection, migration):
                    await connection.execute(migration.down)
                    await connection.execute("delete from schema_migrations where number = $1", migration.number)
                undone.append(migration.name)
    return undone


@asynccontextmanager
async def _locked(dsn: str, service: str) -> AsyncIterator[Connection]:
    settings = {
        "search_path": f"{service}, extensions",
        "lock_timeout": _LOCK_TIMEOUT,
        "statement_timeout": _STATEMENT_TIMEOUT,
    }
    connection = await asyncpg.connect(dsn, timeout=10, server_settings=settings)
    try:
        await connection.execute("set lock_timeout = '2min'")
        await connection.execute("select pg_advisory_lock(hashtext($1))", f"millrace migrate {service}")
        await connection.execute(f"set lock_timeout = '{_LOCK_TIMEOUT}'")
        await connection.execute(
            "create table if not exists schema_migrations (number int primary key, name text not null,"
            " checksum text not null, applied_at timestamptz not null default now())"
        )
        yield connection
    finally:
        await connection.close()


async def _present(connection: Connection) -> dict[int, str]:
    rows = await connection.fetch("select number, checksum from schema_migrations")
    return {row["number"]: row["checksum"] for row in rows}


def _compare(migration: Migration, checksum: str) -> None:
    if migration.checksum != checksum:
        raise MigrationError(f"{migration.name} was edited after it was applied; write a new migration instead")


async def _apply(connection: Connection, migration: Migration) -> None:
    async with _step(connection, migration):
        await connection.execute(migration.up)
        await connection.execute(
            "insert into schema_migrations (number, name, checksum) values ($1, $2, $3)",
            migration.number, migration.name, migration.checksum,
        )  # fmt: skip


@asynccontextmanager
async def _step(connection: Connection, migration: Migration) -> AsyncIterator[None]:
    """A transaction, or for what is done alone none and as much time as it takes; what broke off before is cleared."""
    if not migration.alone:
        async with connection.transaction():
            yield
        return
    index = _CONCURRENT.fullmatch(migration.up)
    assert index is not None
    await connection.execute("set lock_timeout = 0; set statement_timeout = 0")
    if await connection.fetchval(_IS_BROKEN, index["index"]):
        await connection.execute(f"drop index concurrently {index['index']}")
    yield
    await connection.execute(f"set lock_timeout = '{_LOCK_TIMEOUT}'; set statement_timeout = '{_STATEMENT_TIMEOUT}'")
