"""Records as the API shows them."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from millrace.client.api import Api


class Record(msgspec.Struct, frozen=True):
    """A record as its reader may see it."""

    id: UUID
    pipeline_id: UUID
    version: int
    title: str | None
    data: dict[str, Any]
    created_at: datetime
    created_by: UUID | None
    updated_at: datetime
    updated_by: UUID | None


async def records(api: Api, pipeline_id: UUID | str, params: Mapping[str, Any] | None = None) -> AsyncIterator[Record]:
    """Every record of a pipeline that may be seen, page after page; `params` are those of the list."""
    async for item in api.pages(f"/pipelines/{pipeline_id}/records", params):
        yield msgspec.convert(item, Record)
