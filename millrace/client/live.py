"""A socket of one principal: frames out, and waiting for the frame that matters."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect

_SECONDS = 60.0

Frame = dict[str, Any]


class NotHeard(Exception):
    """A frame did not come in time; the message names those that did."""


class Live:
    """An authenticated socket. Frames that nobody asked for yet wait in `unread`, in the order they came."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self.unread: list[Frame] = []

    @classmethod
    @asynccontextmanager
    async def open(cls, gateway: str, token: str, path: str = "/api/v1/ws") -> AsyncIterator["Live"]:
        """A socket through the gateway, the token in its first frame."""
        address = gateway.replace("http", "ws", 1) + path
        async with connect(address, max_size=None, max_queue=None, compression=None) as connection:
            live = cls(connection)
            await live.send(type="authenticate", token=token)
            await live.expect("authenticated")
            yield live

    async def send(self, **frame: object) -> None:
        """Send a frame."""
        await self._connection.send(msgspec.json.encode(frame).decode())

    async def subscribe(self, channel: str, **options: object) -> Frame:
        """Subscribe to a channel; the answer."""
        await self.send(type="subscribe", channel=channel, **options)
        return await self.expect("subscribed", channel=channel)

    async def expect(self, kind: str, seconds: float = _SECONDS, **values: object) -> Frame:
        """The first frame of this type with these values, or `NotHeard`."""
        for index, frame in enumerate(self.unread):
            if _is(frame, kind, values):
                return self.unread.pop(index)
        try:
            async with asyncio.timeout(seconds):
                return await self._next(kind, values)
        except TimeoutError:
            raise NotHeard(f"no {kind} {values} in {seconds:g} s, but {self.unread}") from None

    async def _next(self, kind: str, values: dict[str, object]) -> Frame:
        while not _is(frame := await self.receive(), kind, values):
            self.unread.append(frame)
        return frame

    async def receive(self) -> Frame:
        """The next frame, whatever it is."""
        return msgspec.json.decode(await self._connection.recv(), type=Frame)


def _is(frame: Frame, kind: str, values: dict[str, object]) -> bool:
    return frame["type"] == kind and all(frame.get(name) == value for name, value in values.items())
