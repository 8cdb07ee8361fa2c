"""A client of shared documents in Python, as `y-websocket` is one in JavaScript: pycrdt over a socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from pycrdt import Doc, Text, create_sync_message, create_update_message, handle_sync_message
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.waiting import PATIENCE, eventually

SYNC, AWARENESS, AUTH = 0, 1, 2
COME_BACK = 4500
PAUSE = 0.2


class Peer:
    """One person's copy of a document, which may be offline. `close_code` is that of the last closed socket."""

    def __init__(self, url: str, token: str) -> None:
        self.doc: Doc[Text] = Doc()
        self.doc["content"] = self.text = Text()
        self.denied: list[str] = []
        self.awareness: list[bytes] = []
        self.close_code: int | None = None
        self.synced = asyncio.Event()
        self._url = url.replace("http", "ws", 1)
        self._token = token
        self._socket: ClientConnection | None = None
        self._connected = asyncio.Event()
        self._staying: asyncio.Task[None] | None = None
        self._taking = False
        self._subscription = self.doc.observe(lambda event: self._changed(event.update))
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue()

    @asynccontextmanager
    async def online(self) -> AsyncIterator["Peer"]:
        """Connected until the block ends; what was edited meanwhile is brought along."""
        self.close_code = None
        self._staying = asyncio.create_task(self._stay())
        connected = asyncio.create_task(self._connected.wait())
        try:
            await asyncio.wait((self._staying, connected), return_when=asyncio.FIRST_COMPLETED)
            if not connected.done():
                self._staying.result()
            yield self
            await self.sent()
        finally:
            for task in (self._staying, connected):
                task.cancel()
            await asyncio.gather(self._staying, connected, return_exceptions=True)

    async def _stay(self) -> None:
        """Connects, and again where the server says that it is of use."""
        while self.close_code is None or self.close_code >= COME_BACK:
            protocols = ["bearer", self._token]
            async with connect(self._url, subprotocols=protocols, max_size=None, compression=None) as socket:  # type: ignore[arg-type]
                await self._live(socket)
            await asyncio.sleep(PAUSE)

    async def _live(self, socket: ClientConnection) -> None:
        self._outgoing = asyncio.Queue()
        self._socket = socket
        self.synced.clear()
        self._connected.set()
        sending = asyncio.create_task(self._send(socket))
        try:
            with suppress(ConnectionClosed):
                await socket.send(create_sync_message(self.doc))
            await self._receive(socket)
        finally:
            self._socket = None
            self._connected.clear()
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def sent(self) -> None:
        """Waits until what was edited is on its way."""

        async def empty() -> bool:
            return self._outgoing.empty() or self._staying is None or self._staying.done()

        await eventually(empty)

    async def say(self, message: bytes) -> None:
        """Sends any message."""
        await self._connected.wait()
        assert self._socket is not None
        await self._socket.send(message)

    async def reads(self, text: str, seconds: float = PATIENCE) -> None:
        """Waits until the document has this text."""

        async def same() -> bool:
            return str(self.text) == text

        try:
            await eventually(same, seconds)
        except AssertionError:
            raise AssertionError(f"{str(self.text)!r} is not {text!r}") from None

    def _changed(self, update: bytes) -> None:
        if self._socket is not None and not self._taking and update != b"\x00\x00":
            self._outgoing.put_nowait(create_update_message(update))

    async def _send(self, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                await socket.send(await self._outgoing.get())

    async def _receive(self, socket: ClientConnection) -> None:
        try:
            while True:
                message = await socket.recv()
                assert isinstance(message, bytes)
                self._take(message)
        except ConnectionClosed:
            self.close_code = socket.close_code

    def _take(self, message: bytes) -> None:
        if message[0] == AWARENESS:
            self.awareness.append(message)
        elif message[0] == AUTH:
            self.denied.append(message[3:].decode())
        else:
            self._taking = True
            reply = handle_sync_message(message[1:], self.doc)
            self._taking = False
            if reply is not None:
                self._outgoing.put_nowait(reply)
            if message[1] == 1:
                self.synced.set()
