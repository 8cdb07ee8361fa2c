"""The log of deployments: a table in the operators' own schema, which the migrating role owns and no service reads."""

from datetime import datetime

import asyncpg
import msgspec

SCHEMA = "operations"
OUTCOMES = ("succeeded", "failed", "rolled_back")

_MAKE = """
    create table if not exists operations.deployments (
        id bigint generated always as identity primary key,
        at timestamptz not null default clock_timestamp(),
        environment text not null,
        version text not null,
        revision text not null,
        actor text not null,
        outcome text not null check (outcome in ('succeeded', 'failed', 'rolled_back')),
        rollback_version text
    )
"""
_BEFORE = """
    select version from operations.deployments
    where environment = $1 and outcome <> 'failed' and version <> $2 order by id desc limit 1
"""
_LAST = """
    select rollback_version from operations.deployments
    where environment = $1 and outcome <> 'failed' order by id desc limit 1
"""
_SAME = """
    select rollback_version from operations.deployments
    where environment = $1 and version = $2 and outcome <> 'failed' order by id desc limit 1
"""
_ADD = """
    insert into operations.deployments (environment, version, revision, actor, outcome, rollback_version)
    values ($1, $2, $3, $4, $5, $6)
    returning at, environment, version, revision, actor, outcome, rollback_version
"""
_LIST = """
    select at, environment, version, revision, actor, outcome, rollback_version from operations.deployments
    where $1::text is null or environment = $1 order by id desc limit $2
"""


class Deployment(msgspec.Struct, frozen=True):
    """What went where, when, by whom, how it ended, and which version to go back to."""

    at: datetime
    environment: str
    version: str
    revision: str
    actor: str
    outcome: str
    rollback_version: str | None


async def record(
    dsn: str, environment: str, version: str, revision: str, actor: str, outcome: str, rollback_version: str | None
) -> Deployment:
    """Notes a deployment; what to go back to is the version that ran before, unless another one is given.

    Who goes back to that version has `rolled_back`, and what it had before to go back to once more.
    """
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        async with connection.transaction():
            await connection.execute("select pg_advisory_xact_lock(hashtext('millrace deployments'))")
            await connection.execute(_MAKE)
            last = await connection.fetchrow(_LAST, environment)
            returned = last is not None and last["rollback_version"] == version and outcome == "succeeded"
            outcome = "rolled_back" if returned else outcome
            back = rollback_version or await connection.fetchval(_SAME if returned else _BEFORE, environment, version)
            row = await connection.fetchrow(_ADD, environment, version, revision, actor, outcome, back)
        assert row is not None
        return Deployment(**row)
    finally:
        await connection.close()


async def listed(dsn: str, environment: str | None, limit: int) -> list[Deployment]:
    """The last deployments, the newest first."""
    return [Deployment(**row) for row in await _fetched(dsn, _LIST, environment, limit)]


async def rollback_version(dsn: str, environment: str) -> str | None:
    """The version to go back to from what runs now; null where nothing ran before."""
    rows = await _fetched(dsn, _LAST, environment)
    return rows[0]["rollback_version"] if rows else None


async def _fetched(dsn: str, statement: str, *arguments: object) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        if await connection.fetchval("select to_regclass('operations.deployments') is null"):
            return []
        return await connection.fetch(statement, *arguments)
    finally:
        await connection.close()
