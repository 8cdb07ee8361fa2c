"""API keys, exchanged with auth for access tokens of some minutes, which are remembered.

A key that auth refused is remembered for a few seconds as well. Keys are remembered by their hash.
"""

import asyncio
import hashlib
from collections.abc import Callable
from typing import TypeVar

import msgspec

from gateway.upstream.ask import ask
from gateway.upstream.balance import Service
from libs.common.errors import Unauthenticated, Unavailable
from libs.common.identity import Principal
from libs.common.revocations import Revocations
from libs.common.tokens import TokenVerifier

T = TypeVar("T")

PREFIX = "mlr_"
MAX_KEY = 200
REFUSED_SECONDS = 3.0
CAPACITY = 10_000


class Exchanged(msgspec.Struct):
    """What auth gives for a key."""

    access_token: str


class ApiKeys:
    """The principals of keys."""

    def __init__(
        self, auth: Service, verifier: TokenVerifier, revocations: Revocations, clock: Callable[[], float]
    ) -> None:
        self._auth = auth
        self._verifier = verifier
        self._revocations = revocations
        self._clock = clock
        self._tokens: dict[bytes, str] = {}
        self._refused: dict[bytes, float] = {}
        self._asking: dict[bytes, asyncio.Task[Principal]] = {}

    def cached(self, key: str) -> Principal | None:
        """The principal of a key that was exchanged before, unless it expired or was revoked since."""
        principal = self._verifier.cached(self._tokens.get(_digest(key), ""))
        return None if principal is None or self._revocations.covers(principal) else principal

    async def exchange(self, key: str, address: str) -> Principal:
        """Asks auth; a key that is not good is `Unauthenticated`."""
        digest = _digest(key)
        if len(key) > MAX_KEY or self._refused.get(digest, 0.0) > self._clock():
            raise _bad()
        task = self._asking.get(digest)
        if task is None:
            task = asyncio.create_task(self._ask(digest, key, address))
            self._asking[digest] = task
            task.add_done_callback(lambda _: self._asking.pop(digest, None))
        return await asyncio.shield(task)

    async def _ask(self, digest: bytes, key: str, address: str) -> Principal:
        body = msgspec.json.encode({"key": key, "address": address})
        status, answer = await ask(self._auth, "/internal/api-keys/exchange", body=body)
        if status == 401:
            _put(self._refused, digest, self._clock() + REFUSED_SECONDS)
            raise _bad()
        if status != 200:
            raise Unavailable("API keys cannot be checked now.", code="upstream-unavailable", retry_after=1)
        token = msgspec.json.decode(answer, type=Exchanged).access_token
        principal = await self._verifier.verify(token)
        _put(self._tokens, digest, token)
        return principal


def _put(memory: dict[bytes, T], digest: bytes, value: T) -> None:
    if len(memory) >= CAPACITY:
        memory.pop(next(iter(memory)))
    memory[digest] = value


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()


def _bad() -> Unauthenticated:
    return Unauthenticated("The API key is not valid.", code="invalid-api-key")
