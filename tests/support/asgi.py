"""An ASGI application in this process, its lifespan run, with an HTTP client in front of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

START_SECONDS = 60.0


@asynccontextmanager
async def running(app: Any, base_url: str = "http://test") -> AsyncIterator[httpx.AsyncClient]:
    """Starts the application, gives a client of it, and stops it; a failed start or stop raises."""
    incoming: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    outgoing: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    lifespan = asyncio.create_task(_lifespan(app, incoming, outgoing))
    await _step(lifespan, incoming, outgoing, "startup")
    try:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=base_url, timeout=START_SECONDS) as client:
            yield client
    finally:
        await _step(lifespan, incoming, outgoing, "shutdown")
        await lifespan


async def _lifespan(app: Any, incoming: asyncio.Queue[Any], outgoing: asyncio.Queue[Any]) -> None:
    await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, incoming.get, outgoing.put)


async def _step(
    lifespan: asyncio.Task[None], incoming: asyncio.Queue[Any], outgoing: asyncio.Queue[Any], name: str
) -> None:
    await incoming.put({"type": f"lifespan.{name}"})
    answer = asyncio.create_task(outgoing.get())
    await asyncio.wait((answer, lifespan), timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    if not answer.done():
        answer.cancel()
        lifespan.cancel()
        raise RuntimeError(f"the application did not answer to {name}: {lifespan}")
    message = answer.result()
    if message["type"] != f"lifespan.{name}.complete":
        raise RuntimeError(f"{name} failed: {message.get('message')}")
