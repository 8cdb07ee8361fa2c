"""`deploy record|list|rollback-version`: what was deployed where, and what to go back to."""

import asyncio
import getpass
from collections.abc import Coroutine
from typing import Any, TypeVar

import asyncpg
import click
import msgspec

from ops import deployments
from ops.commands.doors import Refused, this_plan
from ops.commands.inputs import Word
from ops.environment import given

T = TypeVar("T")
_environment = click.option(
    "--environment", type=Word(), required=True, envvar="ENVIRONMENT", help="Such as production."
)


@click.group()
def deploy() -> None:
    """The log of deployments, in the database of the platform.

    The database is that of the stack here, or MIGRATION_DATABASE_URL.
    """


@deploy.command()
@click.argument("version", type=Word())
@_environment
@click.option("--revision", type=Word(), envvar="GITHUB_SHA", help="The commit that it was built from.")
@click.option("--who", type=Word(), envvar="GITHUB_ACTOR", help="By default the user here.")
@click.option("--outcome", type=click.Choice(deployments.OUTCOMES), default="succeeded")
@click.option("--rollback-version", type=Word(), help="What to go back to; by default what ran before.")
def record(
    version: str, environment: str, revision: str | None, who: str | None, outcome: str, rollback_version: str | None
) -> None:
    """Note that VERSION was deployed."""
    actor = who or getpass.getuser()
    work = deployments.record(_dsn(), environment, version, revision or "", actor, outcome, rollback_version)
    click.echo(_line(_run(work)))


@deploy.command("list")
@click.option("--environment", help="By default all.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20)
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line.")
def listing(environment: str | None, limit: int, as_json: bool) -> None:
    """List the last deployments, the newest first."""
    for deployment in _run(deployments.listed(_dsn(), environment, limit)):
        click.echo(msgspec.json.encode(deployment).decode() if as_json else _line(deployment))


@deploy.command("rollback-version")
@_environment
def rollback_version(environment: str) -> None:
    """Tell the version to go back to, and nothing else: helm upgrade … --set global.image.tag=$(…)."""
    version = _run(deployments.rollback_version(_dsn(), environment))
    if version is None:
        raise Refused(f"Nothing ran in {environment} before what runs now")
    click.echo(version)


def _dsn() -> str:
    return given("MIGRATION_DATABASE_URL") or this_plan().dsn("migrate")


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except asyncpg.InvalidSchemaNameError as error:
        raise Refused("The operators' schema is not there: millrace bootstrap makes it") from error
    except (OSError, asyncpg.PostgresError) as error:
        raise Refused(f"PostgreSQL does not answer or refuses: {error}") from error


def _line(deployment: deployments.Deployment) -> str:
    back = f", back to {deployment.rollback_version}" if deployment.rollback_version else ""
    revision = f" ({deployment.revision[:12]})" if deployment.revision else ""
    what = f"{deployment.environment:<12} {deployment.version}{revision} {deployment.outcome}"
    return f"{deployment.at:%FT%TZ} {what} by {deployment.actor}{back}"
