"""A real server that webhooks are sent to, and what it was sent."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from standardwebhooks import Webhook

from tests.support.waiting import PATIENCE, eventually

Json = dict[str, Any]


@dataclass(frozen=True)
class Taken:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """Its `webhook-id`."""
        return self.headers["webhook-id"]

    @property
    def message(self) -> Json:
        """What it says."""
        found: Json = json.loads(self.body)
        return found

    @property
    def record(self) -> Json:
        """The record that it is about."""
        found: Json = self.message["data"]["record"]
        return found

    def verify(self, secret: str) -> Json:
        """What it says, once its signature is verified by the reference implementation; raises where it is not good."""
        found: Json = Webhook(secret).verify(self.body, self.headers)
        return found


@dataclass
class Receiver:
    """Answers 200, or what `answer` says of a request: a status, with headers; `hold` makes a path wait."""

    port: int = 0
    taken: list[Taken] = field(default_factory=list)
    answer: Callable[[Taken], tuple[int, dict[str, str]]] = lambda _: (200, {})
    hold: dict[str, asyncio.Event] = field(default_factory=dict)
    under_way: dict[str, int] = field(default_factory=dict)
    most_at_once: int = 0

    def url(self, path: str = "/") -> str:
        """The address of a path."""
        return f"http://127.0.0.1:{self.port}{path}"

    def at(self, path: str) -> list[Taken]:
        """What came to a path."""
        return [one for one in self.taken if one.path == path]

    async def got(self, count: int, path: str = "/", seconds: float = PATIENCE) -> list[Taken]:
        """What came to a path, once it is so much."""

        async def enough() -> bool:
            return len(self.at(path)) >= count

        await eventually(enough, seconds)
        return self.at(path)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The application."""
        assert scope["type"] == "http"
        body, more = b"", True
        while more:
            part = await receive()
            body, more = body + part.get("body", b""), part.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        request = Taken(scope["path"], headers, body)
        self.taken.append(request)
        self.under_way[request.path] = self.under_way.get(request.path, 0) + 1
        self.most_at_once = max(self.most_at_once, self.under_way[request.path])
        if event := self.hold.get(request.path):
            await event.wait()
        else:
            await asyncio.sleep(0)
        self.under_way[request.path] -= 1
        status, more_headers = self.answer(request)
        raw = [(name.encode(), value.encode()) for name, value in more_headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": f"answered {status}".encode()})


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver until the block ends."""
    receiver = Receiver()
    config = uvicorn.Config(
        receiver, port=0, http="httptools", log_config=None, access_log=False, lifespan="off",
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    await eventually(started)
    receiver.port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        for event in receiver.hold.values():
            event.set()
        server.should_exit = True
        await serving
