"""PostgreSQL made ready for the services: the database, the roles, the schemas, the migrations."""

import asyncio
from urllib.parse import urlsplit

import asyncpg

from libs.common import migrate
from ops.stack.home import PROJECT
from ops.stack.plan import SERVICES, Plan


async def prepare(plan: Plan) -> None:
    """Make what is missing; harmless on a database that has everything."""
    if "postgres" in plan.servers:
        await _create_database(plan.admin_url)
    await migrate.bootstrap(plan.admin_url, role_passwords(plan))
    await asyncio.gather(*(migrate_up(plan, service) for service in SERVICES))


async def migrate_up(plan: Plan, service: str, to: int | None = None) -> list[str]:
    """Apply a service's migrations, all or up to a number; returns the names of those applied."""
    return await migrate.up(plan.dsn("migrate"), service, PROJECT / "services" / service / "migrations", to)


def role_passwords(plan: Plan) -> dict[str, str]:
    """The passwords of the migrating role and of each service's."""
    return {role: plan.passwords[role] for role in ("migrate", *SERVICES)}


async def _create_database(admin_url: str) -> None:
    parts = urlsplit(admin_url)
    name = parts.path.removeprefix("/")
    connection = await asyncpg.connect(parts._replace(path="/postgres").geturl())
    try:
        if not await connection.fetchval("select true from pg_database where datname = $1", name):
            await connection.execute(f'create database "{name}"')
    finally:
        await connection.close()
