"""What is done for sockets in the background."""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine


class Errands:
    """Work of connections that nobody waits for, unless the next step of the same one must come after it."""

    def __init__(self) -> None:
        self._tasks: defaultdict[str, set[asyncio.Task[None]]] = defaultdict(set)

    def begin(self, connection: str, work: Coroutine[None, None, None]) -> None:
        """Does something in the background."""
        task = asyncio.create_task(work)
        self._tasks[connection].add(task)
        task.add_done_callback(lambda done: self._forget(connection, done))

    async def done(self, connection: str) -> None:
        """Waits for what is being done for a connection."""
        if tasks := self._tasks.get(connection):
            await asyncio.wait(tasks)

    async def all_done(self) -> None:
        """Waits for everything."""
        await asyncio.gather(*(task for tasks in self._tasks.values() for task in tasks), return_exceptions=True)

    def _forget(self, connection: str, task: asyncio.Task[None]) -> None:
        self._tasks[connection].discard(task)
        if not self._tasks[connection]:
            del self._tasks[connection]
