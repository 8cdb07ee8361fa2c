"""How much a job does at once, so that whoever wants a record that it holds hardly notices."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

FEWEST, MOST = 50, 1000
SECONDS = 0.02
"""What a batch may take; the next has as many records as that comes to, twice those of the last one at most."""


class Pace:
    """How many records the next batch has. Jobs that go through the same records in one process have one turn: two at
    once would be in each other's way, and whoever wants a record would wait for both.
    """

    def __init__(self, turn: asyncio.Lock, size: int = 100) -> None:
        self.size = min(size, MOST)
        self._turn = turn

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[int]:
        """A batch of so many records, and then a rest of half the time that it took."""
        async with self._turn:
            began = time.monotonic()
            yield self.size
            took = time.monotonic() - began
            self.learn(took)
            await asyncio.sleep(took / 2)

    def learn(self, took: float) -> None:
        """Takes in how long the last batch took, in seconds."""
        fitting = int(self.size * SECONDS / max(took, SECONDS / 2))
        self.size = min(MOST, max(FEWEST, fitting))
