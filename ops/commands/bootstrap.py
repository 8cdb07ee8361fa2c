"""`bootstrap`: the roles and empty schemas in a PostgreSQL server that an administrator gives."""

import asyncio
from urllib.parse import unquote, urlsplit

import asyncpg
import click

from libs.common import migrate
from ops.commands.doors import Refused
from ops.environment import given, needed


@click.command()
def bootstrap() -> None:
    """Make the roles and empty schemas in a database of your own; again, it renews the roles' passwords.

    ADMIN_DATABASE_URL is a superuser's. Each role is given the password that stands in the address its process
    will use: MIGRATION_DATABASE_URL, AUTH_DATABASE_URL, PIPELINES_DATABASE_URL and so on. With WATCH_DATABASE_URL
    there is also `millrace_watch`, a role for an exporter, which sees statistics and no data.
    """
    passwords = {"migrate": _password("migrate", "MIGRATION_DATABASE_URL")}
    passwords |= {service: _password(service, f"{service.upper()}_DATABASE_URL") for service in migrate.SERVICES}
    if given("WATCH_DATABASE_URL"):
        passwords |= {"watch": _password("watch", "WATCH_DATABASE_URL")}
    try:
        asyncio.run(migrate.bootstrap(needed("ADMIN_DATABASE_URL"), passwords))
    except (OSError, asyncpg.PostgresError) as error:
        raise Refused(f"The roles were not made: {error}") from error
    click.echo(f"roles and schemas: {', '.join(passwords)}")


def _password(role: str, variable: str) -> str:
    parts = urlsplit(needed(variable))
    if parts.username != f"millrace_{role}" or not parts.password:
        raise Refused(f"{variable} has to be an address of the role millrace_{role}, with its password")
    return unquote(parts.password)
