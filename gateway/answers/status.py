"""All services at a glance: who answers, in which version, what is degraded."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from gateway.answers.operating import JSON, only_get
from gateway.exchange import Exchange
from gateway.upstream.ask import ask_instance
from gateway.upstream.balance import Service
from gateway.upstream.pool import Upstream
from libs.common.errors import Unavailable
from libs.common.health import Health

ANSWER_SECONDS = 2.5
FRESH_SECONDS = 1.0


class Status:
    """Asks every service for its health, at most once a second."""

    def __init__(self, services: Mapping[str, Service], own: Callable[[], Awaitable[Health]]) -> None:
        self._services = services
        self._own = own
        self._found: dict[str, Any] = {}
        self._until = 0.0
        self._lock = asyncio.Lock()

    async def __call__(self, exchange: Exchange) -> None:
        """200 while anything answers; `status` is `ok` or `degraded`, or `failed` (503) when no service answers."""
        only_get(exchange)
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if now > self._until:
                self._found = await self._ask_all()
                self._until = now + FRESH_SECONDS
        status = 503 if self._found["status"] == "failed" else 200
        await exchange.answer(status, JSON, msgspec.json.encode(self._found))

    async def _ask_all(self) -> dict[str, Any]:
        own, *found = await asyncio.gather(self._own(), *(_health(each) for each in self._services.values()))
        services = {"gateway": msgspec.to_builtins(own), **dict(zip(self._services, found, strict=True))}
        states = {service["status"] for service in services.values()}
        if all(service["status"] == "away" for service in found):
            overall = "failed"
        else:
            overall = "ok" if states == {"ok"} else "degraded"
        return {
            "status": overall,
            "version": own.version,
            "services": services,
            "degradations": [name for name, service in services.items() if service["status"] != "ok"],
        }


async def _health(service: Service) -> dict[str, Any]:
    """The health of a service: of several instances the one that is best, and how many are in which state."""
    found = await asyncio.gather(*map(_ask, service.instances))
    if len(found) == 1:
        return found[0]
    states = Counter(one["status"] for one in found)
    best = min(found, key=lambda one: _RANKS.get(one["status"], 2))
    worse = "degraded" if best["status"] == "ok" and len(states) > 1 else best["status"]
    return best | {"status": worse, "instances": dict(states)}


async def _ask(upstream: Upstream) -> dict[str, Any]:
    try:
        _, body = await ask_instance(upstream, "/health", ANSWER_SECONDS)
        return msgspec.json.decode(body, type=dict[str, Any]) | {"service": upstream.name}
    except (Unavailable, msgspec.MsgspecError):
        return {"status": "away", "service": upstream.name, "version": None, "checks": {}}


_RANKS = {"ok": 0, "degraded": 1, "failed": 2, "away": 3}
