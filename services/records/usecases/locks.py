"""Lock a field for a socket, keep it locked, and let go of it."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import msgspec

from libs.common.errors import Conflict as Taken
from libs.common.errors import Fault, Forbidden, Invalid, NotFound
from libs.common.postgres import Database
from services.records.domain.locks import MAX_SECONDS, locked
from services.records.domain.reach import Reach
from services.records.storage import locks, records
from services.records.storage.locks import Asked
from services.records.usecases.caller import Caller
from services.records.usecases.scope import Scope

MAX_LOCKS = 1_000

Seconds = Annotated[float, msgspec.Meta(gt=0, le=MAX_SECONDS)]


class Wanted(msgspec.Struct, frozen=True):
    """A field that a connection wants for so many seconds; asked again by the same one it is kept."""

    record_id: UUID
    field: str
    connection: str
    seconds: Seconds


class Granted(msgspec.Struct, frozen=True):
    """The lock's token, and the pipeline that the record is in."""

    token: int
    pipeline_id: UUID


class Held(msgspec.Struct, frozen=True):
    """A lock as its holder knows it."""

    record_id: UUID
    field: str
    token: int


async def lock(caller: Caller, wanted: Wanted) -> Granted:
    """Gives a field to a connection; `Conflict` (`locked`) names who has it. Who may not write it may not lock it."""
    async with caller.database.tenant(caller.tenant_id) as connection:
        place = await records.place(connection, caller.tenant_id, wanted.record_id)
    if place is None:
        raise NotFound("There is no such record")

    async def work(reach: Reach) -> Granted:
        async with caller.database.tenant(caller.tenant_id) as connection:
            return Granted(await _granted(Scope(caller, reach, connection), wanted), reach.pipeline.id)

    return await caller.settled(place.pipeline_id, work)


async def _granted(scope: Scope, wanted: Wanted) -> int:
    await _check(scope, wanted)
    connection, tenant_id = scope.connection, scope.tenant_id
    for one in await locks.held(connection, tenant_id, wanted.record_id):
        if one.field != wanted.field or not one.stands:
            continue
        if one.connection != wanted.connection or one.principal_id != scope.caller.principal.id:
            raise locked(one)
        asked = [(wanted.record_id, wanted.field, one.token)]
        await locks.renew(connection, tenant_id, asked, wanted.seconds)
        return one.token
    by = scope.caller.principal
    return await locks.grant(connection, by, wanted.record_id, wanted.field, wanted.connection, wanted.seconds)


async def _check(scope: Scope, wanted: Wanted) -> None:
    """Raises why the caller cannot have the field; the record's row is locked from now on."""
    row = scope.present(await scope.lock([wanted.record_id]), wanted.record_id)
    readable = scope.read.readable_of(row.reads)
    if wanted.field not in scope.pipeline.fields:
        raise Invalid(errors=[Fault("/field", "unknown_field", f"There is no field '{wanted.field}'")])
    if readable is not None and wanted.field not in readable:
        raise Forbidden(f"There is no field '{wanted.field}' that you may read", code="field-not-readable")
    if scope.pipeline.fields[wanted.field].collaborative:
        raise Taken(f"'{wanted.field}' is edited together, and locked by nobody", code="collaborative")
    scope.update.check_writing(frozenset((wanted.field,)), row.updates)


async def renew(database: Database, tenant_id: UUID, held: Sequence[Held], seconds: float) -> list[int]:
    """Lengthens the leases of locks; the tokens that are still held."""
    async with database.tenant(tenant_id) as connection:
        return await locks.renew(connection, tenant_id, _asked(held), seconds)


async def release(database: Database, tenant_id: UUID, held: Sequence[Held]) -> list[int]:
    """Lets go of locks; the tokens that were held."""
    async with database.tenant(tenant_id) as connection:
        return await locks.release(connection, tenant_id, _asked(held))


def _asked(held: Sequence[Held]) -> list[Asked]:
    """The locks in one order for all."""
    return sorted((one.record_id, one.field, one.token) for one in held)
