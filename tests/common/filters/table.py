"""The table of records that tests fill and ask, from synchronous code."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from libs.common.filters import Context, Node, Schema, to_sql

TENANT = UUID("00000000-0000-7000-8000-0000000000aa")

_JSON = msgspec.json.Encoder(decimal_format="number")
_FILL = """
insert into records (tenant_id, id, pipeline_id, version, title, data, created_at, created_by, updated_at, updated_by,
    deleted_at)
select $1, id, pipeline_id, version, title, data, created_at, created_by, updated_at, updated_by, deleted_at
from jsonb_to_recordset($2::text::jsonb) as (id uuid, pipeline_id uuid, version bigint, title text, data jsonb,
    created_at timestamptz, created_by uuid, updated_at timestamptz, updated_by uuid, deleted_at timestamptz)
"""


@dataclass
class Table:
    """The table; every filling replaces what was there."""

    runner: asyncio.Runner
    connection: "asyncpg.Connection[asyncpg.Record]"

    def fill(self, records: Sequence[Mapping[str, object]]) -> None:
        """Makes these the only records."""
        self.execute("truncate records")
        self.execute(_FILL, TENANT, _JSON.encode(records).decode())

    def execute(self, statement: str, *params: object) -> None:
        """Runs a statement."""
        self.runner.run(self.connection.execute(statement, *params))

    def fetch(self, statement: str, *params: object) -> list[asyncpg.Record]:
        """The rows of a statement."""
        return self.runner.run(self.connection.fetch(statement, *params))

    def passing(self, node: Node, schema: Schema, context: Context, pipeline: UUID) -> set[str]:
        """The ids of the live records of a pipeline that pass the filter in SQL."""
        params: list[object] = [TENANT, pipeline]
        condition = to_sql(node, schema, params, context)
        rows = self.fetch(
            f"select r.id from records r where r.tenant_id = $1 and r.pipeline_id = $2"  # noqa: S608
            f" and r.deleted_at is null and {condition}",
            *params,
        )
        return {str(row["id"]) for row in rows}


def record(number: int, pipeline: UUID, data: Mapping[str, object], **columns: object) -> dict[str, object]:
    """A record as the API shows it, with a readable id."""
    at = "2026-03-04T05:06:07.008Z"
    plain: dict[str, object] = {
        "id": identifier(number),
        "pipeline_id": str(pipeline),
        "version": 1,
        "title": None,
        "created_at": at,
        "created_by": None,
        "updated_at": at,
        "updated_by": None,
        "deleted_at": None,
    }
    return {**plain, **columns, "data": data}


def identifier(number: int) -> str:
    """The id of the n-th record."""
    return str(UUID(int=(7 << 76) | (2 << 62) | number))


NOW = Context(datetime.fromisoformat("2026-03-04T05:06:07.008+00:00"), user=identifier(901))
