"""Records as they are, for many who come at once: what is wanted within a moment is asked for together."""

import asyncio
from collections import defaultdict
from itertools import islice
from uuid import UUID

from libs.common.bus import Bus
from libs.common.errors import AppError
from libs.common.resilience import end
from services.realtime.domain.changes import State, state
from services.realtime.usecases import records

AT_ONCE = 100
MOMENT_SECONDS = 0.05

Answer = State | None | AppError
Waiting = dict[UUID, "asyncio.Future[Answer]"]


class States:
    """Asks for a tenant's records in turns: at once for who comes first, then for all who came in the moment since."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._waiting: defaultdict[UUID, Waiting] = defaultdict(dict)
        self._turns: dict[UUID, asyncio.Task[None]] = {}

    async def find(self, tenant_id: UUID, record_id: UUID) -> State | None:
        """A record as it is now or later; None where it is absent, or too large to be told here. Raises what keeps
        records from answering.
        """
        waiting = self._waiting[tenant_id]
        wanted = waiting.get(record_id)
        if wanted is None:
            wanted = waiting[record_id] = asyncio.get_running_loop().create_future()
        if tenant_id not in self._turns:
            self._turns[tenant_id] = asyncio.create_task(self._take_turns(tenant_id, waiting))
        found = await asyncio.shield(wanted)
        if isinstance(found, AppError):
            raise found
        return found

    async def stop(self) -> None:
        """Asks no more."""
        await end(list(self._turns.values()))

    async def _take_turns(self, tenant_id: UUID, waiting: Waiting) -> None:
        try:
            while waiting:
                batch = {record_id: waiting.pop(record_id) for record_id in list(islice(waiting, AT_ONCE))}
                await self._ask(tenant_id, batch)
                if len(waiting) < AT_ONCE:
                    await asyncio.sleep(MOMENT_SECONDS)
        finally:
            del self._turns[tenant_id], self._waiting[tenant_id]
            for wanted in waiting.values():
                wanted.set_result(None)

    async def _ask(self, tenant_id: UUID, batch: Waiting) -> None:
        answers: dict[UUID, Answer] = {}
        try:
            found = await records.states(self._bus, tenant_id, batch)
            answers.update((record_id, state(raw)) for record_id, raw in found.items())
        except AppError as error:
            answers = dict.fromkeys(batch, error)
        finally:
            for record_id, wanted in batch.items():
                wanted.set_result(answers.get(record_id))
