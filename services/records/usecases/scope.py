"""What everything that is done in one transaction to one pipeline's records needs at hand."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from libs.common.errors import AppError, NotFound
from libs.common.postgres import Connection
from services.records.domain.reach import Reach
from services.records.domain.records import Change, advanced
from services.records.domain.rules import compile_rules
from services.records.storage import computing, records
from services.records.storage.records import Locked
from services.records.usecases.caller import Caller, Moved
from services.records.usecases.reshaping import Reshaping


class Scope:
    """A caller, what they may do in a pipeline, and the transaction in which they do it."""

    def __init__(self, caller: Caller, reach: Reach, connection: Connection) -> None:
        self.caller = caller
        self.reach = reach
        self.pipeline = reach.pipeline
        self.connection = connection
        self.tenant_id = caller.tenant_id
        self.read = reach.access("read")
        self.create = reach.access("create")
        self.update = reach.access("update")
        self.delete = reach.access("delete")
        self.rules = compile_rules(reach.pipeline, caller.context)
        self.brought: list[Change] = []
        self.followers = 0
        self._held = False

    async def hold(self) -> None:
        """Marks the transaction as one that writes by this definition; raises `Moved` where there is a newer one."""
        if not self._held:
            held = await computing.hold(self.connection, self.tenant_id, self.pipeline.id)
            if held.version is not None and held.version > self.pipeline.version:
                raise Moved(self.pipeline.id)
            self.followers = held.followers or 0
            self._held = True

    async def lock(self, ids: Sequence[UUID]) -> dict[UUID, Locked]:
        """Locks records of the pipeline, brings along those that do not follow its definition yet, and asks which rules
        hold on them.
        """
        await self.hold()
        accesses = self.read, self.update, self.delete
        found = await records.lock(self.connection, self.tenant_id, ids, self.caller.context, *accesses)
        if found and self.pipeline.definition.pending:
            heavy = self.caller.catalog.heavy
            reshaping = Reshaping(self.connection, self.tenant_id, self.pipeline, self.caller.now, heavy)
            if await reshaping.bring(list(found.values())):
                self.brought += reshaping.changes
                found = await records.lock(self.connection, self.tenant_id, ids, self.caller.context, *accesses)
        return found

    async def room(self, adding: int) -> int:
        """How many records the tenant's plan lets this transaction add, of so many."""
        limit = self.caller.catalog.plans.cached(self.tenant_id).records
        return await self.caller.catalog.record_plans.room(self.connection, self.tenant_id, limit, adding)

    async def no_room(self) -> AppError:
        """Why there is none."""
        limit = self.caller.catalog.plans.cached(self.tenant_id).records or 0
        return await self.caller.catalog.record_plans.refusal(self.connection, self.tenant_id, limit)

    def present(self, locked: Mapping[UUID, Locked], record_id: UUID, *, deleted: bool = False) -> Locked:
        """A locked record that may be seen; in the trash only if that is where it is looked for."""
        row = locked.get(record_id)
        if row is None or row.deleted is not deleted or not self.read.holds(row.reads):
            raise NotFound("There is no such record")
        return row

    async def seen(self, pipeline_id: UUID, ids: set[UUID]) -> set[UUID]:
        """Which records of a pipeline may be seen, and stay until the transaction ends."""
        reach = self.reach if self.reach.leads_to(pipeline_id) else self.caller.warm_reach(pipeline_id)
        if reach is None:
            return set()
        access = reach.access("read", pipeline_id)
        return await records.visible(self.connection, self.tenant_id, ids, access, self.caller.context, hold=True)

    def trashing(self, row: Locked) -> Change:
        """The change that puts a record into the trash."""
        before = row.record()
        after = advanced(before, before.data, before.title, self.caller.principal.id, self.caller.now)
        return Change("deleted", after, [], before)
