"""All services at a glance: who answers, in which version, what is degraded."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from gateway.answers.operating import JSON, only_get
from gateway.exchange import Exchange
from gateway.upstream.ask import ask
from gateway.upstream.pool import Upstream
from libs.common.errors import Unavailable
from libs.common.health import Health

ANSWER_SECONDS = 2.5
FRESH_SECONDS = 1.0


class Status:
    """Asks every service for its health, at most once a second."""

    def __init__(self, upstreams: Mapping[str, Upstream], own: Callable[[], Awaitable[Health]]) -> None:
        self._upstreams = upstreams
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
        own, *found = await asyncio.gather(self._own(), *(_health(each) for each in self._upstreams.values()))
        services = {"gateway": msgspec.to_builtins(own), **dict(zip(self._upstreams, found, strict=True))}
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


async def _health(upstream: Upstream) -> dict[str, Any]:
    try:
        _, body = await ask(upstream, "/health", ANSWER_SECONDS)
        return msgspec.json.decode(body, type=dict[str, Any]) | {"service": upstream.name}
    except (Unavailable, msgspec.MsgspecError):
        return {"status": "away", "service": upstream.name, "version": None, "checks": {}}
