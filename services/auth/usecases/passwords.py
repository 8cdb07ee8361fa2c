"""Hashing passwords with argon2id (RFC 9106), off the event loop, by few threads with a short queue."""

import asyncio
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from libs.common.errors import Unavailable

T = TypeVar("T")


class Hasher:
    """Hashes and verifies; over `queue` waiting calls it refuses rather than let everyone wait for long."""

    def __init__(self, time_cost: int, memory_kib: int, parallelism: int, *, threads: int, queue: int) -> None:
        self._argon2 = argon2.PasswordHasher(time_cost, memory_kib, parallelism)
        self._pool = ThreadPoolExecutor(threads, "argon2")
        self._places = threading.BoundedSemaphore(threads + queue)
        self._nobody = ""

    async def start(self) -> None:
        """Makes the hash that stands in for users who do not exist."""
        self._nobody = await self.hash(secrets.token_urlsafe())

    async def stop(self) -> None:
        """Drops what has not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """The hash of a password, with its salt and parameters."""
        return await self._run(lambda: self._argon2.hash(password))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether a password has that hash; without a hash it takes as long and is wrong."""
        return await self._run(lambda: self._matches(stored or self._nobody, password)) and stored is not None

    def outdated(self, stored: str) -> bool:
        """Whether a hash was made with other parameters than those of today."""
        return self._argon2.check_needs_rehash(stored)

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._argon2.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if not self._places.acquire(blocking=False):
            raise Unavailable("Too many sign-ins at once; try again", code="busy", retry_after=1)
        future = self._pool.submit(work)
        future.add_done_callback(self._leave)
        return await asyncio.wrap_future(future)

    def _leave(self, _: "Future[T]") -> None:
        self._places.release()
