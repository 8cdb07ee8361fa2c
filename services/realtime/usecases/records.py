"""What realtime asks of records."""

from collections.abc import Collection, Sequence
from uuid import UUID

import msgspec

from libs.common.bus import Bus
from services.realtime.domain.documents import Editor
from services.realtime.domain.locks import Holding
from services.realtime.usecases.counting import Result
from services.realtime.usecases.subscribers import Counted

SECONDS = 3.0
COUNT_SECONDS = 10.0


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
    lock_token: int | None = None


class Wanted(msgspec.Struct, frozen=True):
    """The question `rpc.records.lock`."""

    token: str
    record_id: UUID
    field: str
    connection: str
    seconds: float


class Opened(msgspec.Struct, frozen=True):
    """A field that is edited as a shared document. `ruled` is whether the record's values decide who may do what."""

    pipeline_id: UUID
    text: str
    writable: bool
    ruled: bool


class DocumentText(msgspec.Struct, frozen=True):
    """The question `rpc.records.write_document`."""

    tenant_id: UUID
    by: Editor
    record_id: UUID
    field: str
    seq: int
    text: str


class _Became(msgspec.Struct, frozen=True):
    state: str


class _Granted(msgspec.Struct, frozen=True):
    token: int


class _Held(msgspec.Struct, frozen=True):
    tokens: list[int]


async def count(bus: Bus, token: str, counted: Counted) -> Result:
    """The groups of a pipeline as the caller may see them; raises what records raises."""
    question = {
        "token": token, "pipeline_id": counted.pipeline_id, "filter": counted.tree.decode() or None,
        "group_by": counted.group_by, "metrics": counted.metrics,
    }  # fmt: skip
    return await bus.request("rpc.records.aggregate", question, Result, seconds=COUNT_SECONDS)


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


async def states(bus: Bus, tenant_id: UUID, ids: Collection[UUID]) -> dict[UUID, msgspec.Raw]:
    """Records as events tell of them, whoever may see them, of those that are there and not too large."""
    question = {"tenant_id": tenant_id, "record_ids": list(ids)}
    return await bus.request("rpc.records.states", question, dict[UUID, msgspec.Raw], seconds=SECONDS)


async def update_field(bus: Bus, update: FieldUpdate) -> Stored:
    """Has records validate and store one field; raises what records raises."""
    return await bus.request("rpc.records.field_update", update, Stored, seconds=SECONDS)


async def lock(bus: Bus, wanted: Wanted) -> int:
    """Has records give a field to a connection; the token. Raises what records raises, Conflict where it is taken."""
    return (await bus.request("rpc.records.lock", wanted, _Granted, seconds=SECONDS)).token


async def renew_locks(bus: Bus, tenant_id: UUID, held: Sequence[Holding], seconds: float) -> list[int]:
    """Lengthens leases; the tokens that are still held."""
    question = {"tenant_id": tenant_id, "locks": held, "seconds": seconds}
    return (await bus.request("rpc.records.renew_locks", question, _Held, seconds=SECONDS)).tokens


async def unlock(bus: Bus, tenant_id: UUID, held: Sequence[Holding]) -> None:
    """Ends leases."""
    await bus.request("rpc.records.unlock", {"tenant_id": tenant_id, "locks": held}, _Held, seconds=SECONDS)


async def open_document(bus: Bus, token: str, record_id: UUID, field: str) -> Opened:
    """A field that is edited together, as the caller may see it; raises what keeps them from it."""
    question = {"token": token, "record_id": record_id, "field": field}
    return await bus.request("rpc.records.document", question, Opened, seconds=SECONDS)


async def write_document(bus: Bus, text: DocumentText) -> str:
    """Has the text of a document written into its field; whether it was `written`, `older`, or the record is away."""
    return (await bus.request("rpc.records.write_document", text, _Became, seconds=SECONDS)).state
