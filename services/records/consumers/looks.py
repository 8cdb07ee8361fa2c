"""What realtime asks of several records at once: what a principal may see of them, where only records can judge that,
and what they are, where it judges by itself, as it does with events.
"""

from collections.abc import Iterator
from uuid import UUID

import msgspec

from libs.common.app import Platform
from libs.common.errors import TooLarge
from services.records.storage.states import State, states
from services.records.usecases.caller import Caller
from services.records.usecases.catalog import Catalog
from services.records.usecases.looking import look

MAX_RECORDS = 250
MAX_BYTES = 4 * 1024 * 1024
"""Of what states hold; NATS takes twice that in a message."""


class RecordsQuestion(msgspec.Struct, frozen=True):
    """The records as the token's principal may see them."""

    token: str
    record_ids: list[UUID]


class StatesQuestion(msgspec.Struct, frozen=True):
    """A tenant's records, for nobody in particular."""

    tenant_id: UUID
    record_ids: list[UUID]


def serve(platform: Platform, catalog: Catalog) -> None:
    """Answers `rpc.records.records` and `states`."""

    async def answer(question: RecordsQuestion) -> dict[str, msgspec.Raw]:
        _require_few(question.record_ids)
        principal, permissions = await platform.authenticate(question.token)
        caller = Caller(principal, permissions, catalog, platform.database)
        found = await look(caller, question.record_ids)
        return {str(record_id): msgspec.Raw(body.encode()) for record_id, body in found.items()}

    async def tell(question: StatesQuestion) -> dict[UUID, msgspec.Raw]:
        _require_few(question.record_ids)
        async with platform.database.tenant(question.tenant_id) as connection:
            found = await states(connection, question.tenant_id, question.record_ids)
        return {it.id: _told(it) for it in _fitting(found)}

    platform.bus.serve("rpc.records.records", RecordsQuestion, answer)
    platform.bus.serve("rpc.records.states", StatesQuestion, tell)


def _require_few(ids: list[UUID]) -> None:
    if len(ids) > MAX_RECORDS:
        raise TooLarge(f"At most {MAX_RECORDS} records are asked for at once")


def _fitting(found: list[State]) -> Iterator[State]:
    """As many as fit into a message; of the others nothing is said, as of those that are not there."""
    size = 0
    for it in found:
        size += len(it.data)
        if size <= MAX_BYTES:
            yield it


def _told(it: State) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode({**msgspec.structs.asdict(it), "data": msgspec.Raw(it.data.encode())}))
