"""`migrate`: the services' schemas, forwards and backwards."""

import asyncio
from pathlib import Path

import asyncpg
import click

from libs.common import migrate as migrations
from ops.commands.doors import Refused, this_plan
from ops.environment import given
from ops.stack.home import PROJECT
from ops.stack.plan import SERVICES


@click.command()
@click.option("--service", "services", type=click.Choice(SERVICES), multiple=True, help="One service; default all.")
@click.option("--to", type=click.IntRange(min=0), help="Stop at this number, going up or down as need be.")
@click.option("--down", is_flag=True, help="Take the newest migration back, or all above --to.")
def migrate(services: tuple[str, ...], to: int | None, down: bool) -> None:
    """Bring the schemas to the newest migration, or to the one asked for.

    The database is that of the stack here, or MIGRATION_DATABASE_URL.
    """
    if (down or to is not None) and len(services) != 1:
        raise click.UsageError("name one --service: numbers are each service's own")
    if to is not None and to > (newest := migrations.read(services[0], _directory(services[0]))[-1].number):
        raise click.UsageError(f"--to {to}: the migrations of {services[0]} go up to {newest}")
    dsn = given("MIGRATION_DATABASE_URL") or this_plan().dsn("migrate")
    for service in services or SERVICES:
        done = asyncio.run(_migrate(dsn, service, to, down))
        click.echo(f"{service}: {', '.join(done) or 'nothing to do'}")


async def _migrate(dsn: str, service: str, to: int | None, down: bool) -> list[str]:
    directory = _directory(service)
    try:
        if down and to is None:
            to = max(0, await _newest(dsn, service) - 1)
        if not down and to is None:
            return await migrations.up(dsn, service, directory)
        assert to is not None
        undone = await migrations.down(dsn, service, directory, to)
        return [
            *(f"-{name}" for name in undone),
            *([] if down else await migrations.up(dsn, service, directory, to)),
        ]
    except (migrations.MigrationError, OSError, asyncpg.PostgresError) as error:
        raise Refused(f"{service}: {error}") from error


def _directory(service: str) -> Path:
    return PROJECT / "services" / service / "migrations"


async def _newest(dsn: str, service: str) -> int:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        await connection.execute("select set_config('search_path', $1, false)", service)
        return await connection.fetchval("select max(number) from schema_migrations") or 0
    finally:
        await connection.close()
