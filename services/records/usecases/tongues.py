"""The language of whoever names none, as auth knows it: remembered for a minute."""

import time
from uuid import UUID

import msgspec

from libs.common.bus import Bus
from libs.common.errors import AppError
from libs.common.identity import Principal

REMEMBERED_SECONDS = 60.0
CAPACITY = 50_000


class _Question(msgspec.Struct):
    tenant_id: UUID
    user_id: UUID


class _Answer(msgspec.Struct, frozen=True):
    locale: str


class Tongues:
    """Answers which language somebody prefers."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._known: dict[tuple[UUID, UUID], tuple[float, str | None]] = {}

    async def locale(self, principal: Principal) -> str | None:
        """The user's language tag, of an API key or device the organization's; null while auth does not answer."""
        key, called = (principal.tenant_id, principal.id), time.monotonic()
        known = self._known.get(key)
        if known is not None and called - known[0] < REMEMBERED_SECONDS:
            return known[1]
        if len(self._known) >= CAPACITY:
            self._known.clear()
        self._known[key] = called, await self._ask(principal)
        return self._known[key][1]

    async def _ask(self, principal: Principal) -> str | None:
        try:
            question = _Question(principal.tenant_id, principal.id)
            return (await self._bus.request("rpc.auth.locale", question, _Answer)).locale
        except AppError:
            return None
