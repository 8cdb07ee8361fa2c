"""What realtime asks of records."""

from collections.abc import Collection
from uuid import UUID

import msgspec

from libs.common.bus import Bus

SECONDS = 3.0


class Found(msgspec.Struct, frozen=True):
    """What is read of a record that the caller may see."""

    id: UUID
    pipeline_id: UUID
    version: int


class Stored(msgspec.Struct, frozen=True):
    """The version that a field update made."""

    version: int


class FieldUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """The question `rpc.records.field_update`."""

    token: str
    record_id: UUID
    field: str
    value: msgspec.Raw
    base_version: int | None
    operation_id: str


async def find(bus: Bus, token: str, record_id: UUID) -> Found:
    """A record as the caller may see it; raises NotFound where it is absent or not visible."""
    raw = await look(bus, token, record_id)
    return msgspec.json.decode(raw, type=Found)


async def look(bus: Bus, token: str, record_id: UUID) -> msgspec.Raw:
    """A record as the caller may see it, unread."""
    question = {"token": token, "record_id": record_id}
    return await bus.request("rpc.records.record", question, msgspec.Raw, seconds=SECONDS)


async def look_all(bus: Bus, token: str, ids: Collection[UUID]) -> dict[UUID, msgspec.Raw]:
    """Those of the records that the caller may see, unread."""
    question = {"token": token, "record_ids": list(ids)}
    return await bus.request("rpc.records.records", question, dict[UUID, msgspec.Raw], seconds=SECONDS)


async def update_field(bus: Bus, update: FieldUpdate) -> Stored:
    """Has records validate and store one field; raises what records raises."""
    return await bus.request("rpc.records.field_update", update, Stored, seconds=SECONDS)
