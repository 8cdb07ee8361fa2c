"""Files: taken in, held by records, given out, and let go when nothing holds them.

The bytes are in the store before anybody is told of a file, and what is known of it is gone before they are. In
between a row in `file_ends` says that the object is to go, so a crash anywhere leaves none behind. Such a row says the
same of what is given to imports and made by exports, for as long as their jobs have it.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable
from typing import Any, Protocol
from uuid import UUID

import msgspec
import structlog

from libs.common.errors import AppError, Fault, Forbidden, Invalid, NotFound, TooLarge
from libs.common.ids import new_id
from libs.common.plans import require_room
from libs.common.postgres import Connection, Database
from libs.common.resilience import end, keep_running
from services.records.domain import media
from services.records.domain.definitions import Field
from services.records.domain.operations import related_ids
from services.records.domain.reach import Reach
from services.records.storage import files, records
from services.records.storage.files import End, File, Use, object_key
from services.records.storage.objects import ObjectStore
from services.records.usecases.caller import Caller
from services.records.usecases.plan import Failures, Plan
from services.records.usecases.scope import Scope

MAX_BYTES = 256 * 1024 * 1024
POLL_SECONDS = 30.0
_LOOKED_AT = 200
_PURGED_AT_ONCE = 200

log = structlog.get_logger()


class Source(Protocol):
    """A file on its way; its name may come with its first chunk."""

    name: str

    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes."""
        ...


class _Taking:
    """Looks at a file while it passes: what it is, how large, and whether the field takes it."""

    def __init__(self, field: Field, source: Source) -> None:
        self.media_type = ""
        self.size = 0
        self.digest = hashlib.sha256()
        self._source = source
        self._types = field.types
        self._most = min(field.max_size or MAX_BYTES, MAX_BYTES)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The same bytes; what the field does not take is refused as soon as that can be told."""
        head = b""
        async for chunk in self._source.chunks():
            self.size += len(chunk)
            if self.size > self._most:
                raise TooLarge(f"A file of this field has at most {self._most} bytes")
            self.digest.update(chunk)
            if self.media_type:
                yield chunk
                continue
            head += chunk
            if len(head) >= media.SNIFFED:
                self._tell(head)
                yield head
        if not self.media_type:
            self._tell(head)
            yield head

    def _tell(self, head: bytes) -> None:
        self.media_type = media.sniffed(head, self._source.name)
        if not media.allowed(self.media_type, self._types):
            raise Invalid(errors=[_type_fault("/file", self.media_type)])


async def receive(caller: Caller, store: ObjectStore, pipeline_id: UUID, field_name: str, given: Source) -> File:
    """A new file, which a record may hold from now on in this field; one that none holds is gone after a day."""
    field = await caller.judged(pipeline_id, lambda reach: _writable(reach, field_name))
    file_id, taking = new_id(), _Taking(field, given)
    limits = await caller.catalog.plans.of(caller.tenant_id)
    async with caller.database.tenant(caller.tenant_id) as connection:
        if limits.storage_bytes is not None:
            stored = await files.stored_bytes(connection, caller.tenant_id)
            require_room("storage_bytes", limits.storage_bytes, stored)
        await files.expect(connection, caller.tenant_id, file_id)
    await store.put(object_key(caller.tenant_id, file_id), taking.chunks())
    file = File(
        file_id, pipeline_id, field_name, media.file_name(given.name), taking.media_type, taking.size,
        taking.digest.hexdigest(), caller.now, caller.principal.id,
    )  # fmt: skip
    async with caller.database.tenant(caller.tenant_id) as connection:
        if limits.storage_bytes is not None:
            await records.take_turns(connection, caller.tenant_id)
            stored = await files.stored_bytes(connection, caller.tenant_id)
            require_room("storage_bytes", limits.storage_bytes, stored, file.size)
        await files.insert(connection, caller.tenant_id, file)
    return file


def _writable(reach: Reach, name: str) -> Field:
    field = reach.pipeline.fields.get(name)
    accesses = [reach.access("create"), reach.access("update")]
    alternatives = [a for access in accesses for a in access.alternatives]
    may = any(a.writable is None or name in a.writable for a in alternatives)
    if field is None or not (may or reach.access("read").names(name)):
        raise Invalid(errors=[Fault("/field", "unknown_field", f"There is no field '{name}'")])
    if not may:
        raise Forbidden(f"'{name}' may not be written", code="field-not-writable")
    if field.type != "file":
        raise Invalid(errors=[Fault("/field", "not_a_file", f"'{name}' holds no files")])
    return field


async def find(caller: Caller, pipeline_id: UUID, file_id: UUID) -> File:
    """A file in a field that the caller may read of a record that they may see, or one that they have just brought."""
    reach = await caller.reach(pipeline_id)
    async with caller.database.tenant(caller.tenant_id) as connection:
        file = await files.get(connection, caller.tenant_id, pipeline_id, file_id)
        if file is not None:
            uses = await files.uses(connection, caller.tenant_id, [file_id])
            own = not uses and file.uploaded_by == caller.principal.id
            if own or file_id in await _shown(connection, caller, reach, uses):
                return file
    raise NotFound("There is no such file")


async def _shown(connection: Connection, caller: Caller, reach: Reach, uses: Iterable[Use]) -> set[UUID]:
    """Which files stand in what the caller may see of the records that hold them."""
    ids = list(dict.fromkeys(use.record_id for use in uses))[:_LOOKED_AT]
    access = reach.access("read")
    if not ids or not access.alternatives:
        return set()
    bodies = await records.bodies(connection, caller.tenant_id, ids, access, caller.context)
    fields = [field.name for field in reach.pipeline.fields.values() if field.type == "file"]
    shown = (msgspec.json.decode(body, type=_Shown).data for body, _ in bodies.values())
    return {UUID(held) for data in shown for name in fields for held in related_ids(data.get(name))}


class _Shown(msgspec.Struct, frozen=True):
    data: dict[str, Any]


async def check(scope: Scope, plan: Plan) -> Failures:
    """Fails what names files that the caller may not use there; the others stay until the transaction ends."""
    wanted = {file_id for named in plan.files.values() for _, file_id in named}
    if not wanted:
        return {}
    known = await files.hold(scope.connection, scope.tenant_id, scope.pipeline.id, wanted)
    others = [file.id for file in known.values() if file.uploaded_by != scope.caller.principal.id]
    uses = await files.uses(scope.connection, scope.tenant_id, others) if others else []
    shown = await _shown(scope.connection, scope.caller, scope.reach, uses) if uses else set()
    mine = known.keys() - set(others)
    failures = Failures()
    for index, named in plan.files.items():
        record_id = plan.changes[index].after.id
        before = {(use.file_id, use.field) for use in uses if use.record_id == record_id}
        faults = [
            fault
            for name, file_id in named
            if (fault := _fault(scope, name, known.get(file_id), (mine | shown) | {f for f, n in before if n == name}))
        ]
        if faults:
            failures[index] = Invalid(errors=faults)
    return failures


def _fault(scope: Scope, name: str, file: File | None, usable: set[UUID]) -> Fault | None:
    pointer = f"/data/{name}"
    if file is None or file.id not in usable:
        return Fault(pointer, "not_found", "There is no such file")
    field = scope.pipeline.fields[name]
    if not media.allowed(file.media_type, field.types):
        return _type_fault(pointer, file.media_type)
    if field.max_size is not None and file.size > field.max_size:
        return Fault(pointer, "too_large", f"A file of this field has at most {field.max_size} bytes")
    return None


def _type_fault(pointer: str, media_type: str) -> Fault:
    return Fault(pointer, "type_not_allowed", f"The file is {media_type}, which the field does not take")


async def use(scope: Scope, plan: Plan) -> None:
    """Lets the records of a plan hold their files."""
    new = [Use(file, plan.changes[index].after.id, name) for index, named in plan.files.items() for name, file in named]
    await files.use(scope.connection, scope.tenant_id, new)


class Pruner:
    """Takes away the objects of files that nothing holds and of jobs that need them no more, in any process; done
    twice does no harm.
    """

    def __init__(self, database: Database, store: ObjectStore) -> None:
        self._database = database
        self._store = store
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins."""
        self._task = asyncio.create_task(keep_running("files", self._work))

    async def stop(self) -> None:
        """Ends."""
        if self._task is not None:
            await end([self._task])

    async def _work(self) -> None:
        while True:
            while await self.round():
                pass
            await asyncio.sleep(POLL_SECONDS)

    async def round(self) -> int:
        """How many objects were due; those that nothing holds are gone."""
        due = await files.claim(self._database)
        for it in due:
            await self._end(it)
        return len(due)

    async def _end(self, it: End) -> None:
        async with self._database.tenant(it.tenant_id) as connection:
            gone = await files.forget(connection, it)
        try:
            if gone:
                await self._store.delete([it.key])
        except AppError as error:
            await log.awarning("an object is still there", object=it.key, error=repr(error))
            return
        async with self._database.tenant(it.tenant_id) as connection:
            if gone or it.object is None:
                await files.ended(connection, it)
            else:
                await files.postpone(connection, it)

    async def purge(self, connection: Connection, tenant_id: UUID) -> bool:
        """Takes away some of the objects of a tenant that is gone; whether there were any."""
        found = await files.of_tenant(connection, tenant_id, _PURGED_AT_ONCE)
        await self._store.delete([it.key for it in found])
        await files.forget_all(connection, tenant_id, [it.file_id for it in found])
        return bool(found)
