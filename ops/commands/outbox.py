"""`outbox status`: events that were committed and not published yet."""

import asyncio
from typing import TypeAlias

import asyncpg
import click

from ops.commands.doors import Refused, this_plan
from ops.environment import given
from ops.stack.plan import SERVICES

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_WAITING = "select count(*), extract(epoch from now() - min(created_at))::float8 from {service}.outbox"


@click.group()
def outbox() -> None:
    """Events on their way from the services to NATS."""


@outbox.command()
def status() -> None:
    """Show how many events wait in each service, and for how long the oldest has."""
    try:
        rows = asyncio.run(_read(given("DATABASE_URL") or this_plan().admin_url))
    except (OSError, asyncpg.PostgresError) as error:
        raise Refused(f"PostgreSQL does not answer ({error}). Is the platform up? ./taskw status") from error
    for service, waiting, age in rows:
        click.echo(f"{service:<10} {waiting:>8} waiting" + (f", the oldest for {age:.1f} s" if waiting else ""))


async def _read(dsn: str) -> list[tuple[str, int, float | None]]:
    connection = await asyncpg.connect(dsn, timeout=5)
    try:
        there = [service for service in SERVICES if await _has_outbox(connection, service)]
        return [await _waiting(connection, service) for service in there]
    finally:
        await connection.close()


async def _waiting(connection: Connection, service: str) -> tuple[str, int, float | None]:
    row = await connection.fetchrow(_WAITING.format(service=service))
    assert row is not None
    return service, row[0], row[1]


async def _has_outbox(connection: Connection, service: str) -> bool:
    return bool(await connection.fetchval("select to_regclass($1) is not null", f"{service}.outbox"))
