"""What other services ask over NATS, in the name of a principal whose token they pass on."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import msgspec

from libs.common.app import Platform
from libs.common.errors import NotFound
from services.records.domain.origin import CURRENT, Origin
from services.records.storage import records
from services.records.usecases import read
from services.records.usecases.caller import Caller
from services.records.usecases.catalog import Catalog
from services.records.usecases.foreseeing import Forecast, Proposal, foresee
from services.records.usecases.update import FieldUpdate, FieldUpdated, field_update


class RecordQuestion(msgspec.Struct, frozen=True):
    """The record as the token's principal may see it."""

    token: str
    record_id: UUID


class FieldUpdateQuestion(FieldUpdate, frozen=True, kw_only=True):
    """A field update in the name of the token's principal."""

    token: str


class PlanQuestion(msgspec.Struct, frozen=True):
    """What changes of a definition would do to records, and of these what the token's principal may see."""

    token: str
    pipeline_id: UUID
    proposals: list[Proposal]


def serve(platform: Platform, catalog: Catalog) -> None:
    """Answers `rpc.records.*`."""

    async def caller(token: str) -> Caller:
        principal, permissions = await platform.authenticate(token)
        return Caller(principal, permissions, catalog, platform.database)

    async def plan(question: PlanQuestion) -> Forecast:
        return await foresee(await caller(question.token), question.pipeline_id, question.proposals)

    platform.bus.serve("rpc.records.plan", PlanQuestion, plan)
    platform.bus.serve("rpc.records.record", RecordQuestion, _record(caller))
    platform.bus.serve("rpc.records.field_update", FieldUpdateQuestion, _field_update(caller))


def _record(caller: Callable[[str], Awaitable[Caller]]) -> Callable[[RecordQuestion], Awaitable[msgspec.Raw]]:
    async def answer(question: RecordQuestion) -> msgspec.Raw:
        asked = await caller(question.token)
        async with asked.database.tenant(asked.tenant_id) as connection:
            place = await records.place(connection, asked.tenant_id, question.record_id)
        if place is None:
            raise NotFound("There is no such record")
        _, body = await read.get(asked, place.pipeline_id, question.record_id)
        return msgspec.Raw(body.encode())

    return answer


def _field_update(
    caller: Callable[[str], Awaitable[Caller]],
) -> Callable[[FieldUpdateQuestion], Awaitable[FieldUpdated]]:
    async def answer(question: FieldUpdateQuestion) -> FieldUpdated:
        CURRENT.set(Origin("socket"))
        asked = await caller(question.token)
        updated = await field_update(asked, question)
        asked.database.wrote(asked.principal.id)
        return updated

    return answer
