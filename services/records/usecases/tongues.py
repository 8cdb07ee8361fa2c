"""The language of whoever names none, as auth knows it: remembered for a minute. Nobody waits long for it."""

import asyncio
import time
from uuid import UUID

import msgspec

from libs.common.bus import Bus
from libs.common.errors import AppError
from libs.common.identity import Principal

REMEMBERED_SECONDS = 60.0
AWAY_SECONDS = 2.0
"""For so long after auth did not answer nobody waits for it at all."""
PATIENCE_SECONDS = 0.1
CAPACITY = 50_000
MAX_ASKED = 1_000

Key = tuple[UUID, UUID]


class _Question(msgspec.Struct):
    tenant_id: UUID
    user_id: UUID


class _Answer(msgspec.Struct, frozen=True):
    locale: str


class Tongues:
    """Answers which language somebody prefers."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._known: dict[Key, tuple[float, str]] = {}
        self._asking: dict[Key, asyncio.Task[None]] = {}
        self._away_until = 0.0

    async def locale(self, principal: Principal) -> str | None:
        """The user's language tag, of an API key or device the organization's; as it was known, or null, while auth
        does not answer at once. What it answers then holds for the next search.
        """
        key, present = (principal.tenant_id, principal.id), time.monotonic()
        known = self._known.get(key)
        if known is None or present - known[0] > REMEMBERED_SECONDS:
            asking = self._asked(key)
            if asking is not None and present >= self._away_until:
                await asyncio.wait((asking,), timeout=PATIENCE_SECONDS)
            known = self._known.get(key)
        return None if known is None else known[1]

    def _asked(self, key: Key) -> asyncio.Task[None] | None:
        """The question that is under way; none where there are very many."""
        asking = self._asking.get(key)
        if asking is None and len(self._asking) < MAX_ASKED:
            asking = self._asking[key] = asyncio.create_task(self._ask(key))
        return asking

    async def _ask(self, key: Key) -> None:
        called = time.monotonic()
        try:
            answer = await self._bus.request("rpc.auth.locale", _Question(*key), _Answer)
        except AppError:
            self._away_until = time.monotonic() + AWAY_SECONDS
        else:
            if len(self._known) >= CAPACITY:
                self._known.clear()
            self._known[key] = called, answer.locale
        finally:
            del self._asking[key]
