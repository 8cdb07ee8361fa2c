"""Records for many who come at once: what is wanted within a moment is asked for together."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection
from itertools import islice
from typing import Generic, TypeVar
from uuid import UUID

import msgspec

from libs.common.errors import AppError
from libs.common.resilience import end

AT_ONCE = 100
MOMENT_SECONDS = 0.05

K = TypeVar("K")
Answer = msgspec.Raw | None | AppError
Waiting = dict[UUID, "asyncio.Future[Answer]"]


class Gathering(Generic[K]):
    """Asks for records in turns: at once for who comes first, then for all who came in the moment since.

    Who has the same key is asked for together: a tenant where the records themselves are wanted, a token where they are
    wanted as its principal may see them.
    """

    def __init__(self, ask: Callable[[K, Collection[UUID]], Awaitable[dict[UUID, msgspec.Raw]]]) -> None:
        self._ask = ask
        self._waiting: defaultdict[K, Waiting] = defaultdict(dict)
        self._turns: dict[K, asyncio.Task[None]] = {}

    async def find(self, key: K, record_id: UUID) -> msgspec.Raw | None:
        """A record as it is now or later; None where nothing is told of it. Raises what keeps records from it."""
        waiting = self._waiting[key]
        wanted = waiting.get(record_id)
        if wanted is None:
            wanted = waiting[record_id] = asyncio.get_running_loop().create_future()
        if key not in self._turns:
            self._turns[key] = asyncio.create_task(self._take_turns(key, waiting))
        found = await asyncio.shield(wanted)
        if isinstance(found, AppError):
            raise found
        return found

    async def stop(self) -> None:
        """Asks no more."""
        await end(list(self._turns.values()))

    async def _take_turns(self, key: K, waiting: Waiting) -> None:
        try:
            while waiting:
                batch = {record_id: waiting.pop(record_id) for record_id in list(islice(waiting, AT_ONCE))}
                await self._answer(key, batch)
                if len(waiting) < AT_ONCE:
                    await asyncio.sleep(MOMENT_SECONDS)
        finally:
            del self._turns[key], self._waiting[key]
            for wanted in waiting.values():
                wanted.set_result(None)

    async def _answer(self, key: K, batch: Waiting) -> None:
        answers: dict[UUID, Answer] = {}
        try:
            answers.update(await self._ask(key, batch))
        except AppError as error:
            answers = dict.fromkeys(batch, error)
        finally:
            for record_id, wanted in batch.items():
                wanted.set_result(answers.get(record_id))
