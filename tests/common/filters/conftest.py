"""A plain table of records on the run's PostgreSQL, and a loop that synchronous property tests drive it with."""

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest

from ops.embedded import Postgres
from tests.common.filters.table import Table

_TABLE = """
create temporary table records (
    tenant_id uuid not null, id uuid not null, pipeline_id uuid not null, version bigint not null, title text,
    data jsonb not null, created_at timestamptz not null, created_by uuid, updated_at timestamptz not null,
    updated_by uuid, deleted_at timestamptz, primary key (tenant_id, id)
)
"""


@pytest.fixture(scope="module")
def table(postgres_server: Postgres) -> Iterator[Table]:
    """An empty table of records; temporary, so nothing of it stays."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(postgres_server.url))
        runner.run(connection.execute(_TABLE))
        yield Table(runner, connection)
        runner.run(connection.close())
