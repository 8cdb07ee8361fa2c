"""Many sockets that only count: `python -m ops.bench.listeners`, JSON lines on stdin and stdout.

The first line is a `Listen`; it is answered by a `Ready` when every socket is subscribed and nothing more arrives.
Each further line is a number of deliveries to wait for, answered by a `Ready` before and a `Heard` after them. Frames
are not parsed: the bytes of a marker that each of them holds once are counted, so that the server is the limit and not
this process. Where times are wanted, each is told from the record's `updated_at`, which is set before the commit.
"""

import asyncio
import base64
import os
import re
import resource
import sys
import time
from contextlib import suppress
from datetime import datetime
from typing import cast

import msgspec
import uvloop

MARKER = b'"record_updated"'
_UPDATED_AT = re.compile(rb'"updated_at":"([^"]{24})"')
_TEXT, _PONG = b"\x81", b"\x8a"
_PING = 0x89
_QUIET = 0.3
_WAVE = 50
_SECONDS = 60.0
_MAX_COMMAND = 64 * 1024 * 1024


class Listen(msgspec.Struct):
    """Where to connect, what to send on the sockets in turn, and how many `"subscribed"` to wait for on each."""

    port: int
    path: str
    sockets: int
    frames: list[list[str]]
    answers: int
    timed: bool = False


class Ready(msgspec.Struct):
    """Every socket is subscribed."""

    sockets: int


class Heard(msgspec.Struct):
    """Deliveries, seconds from the first to the last, bytes in each, share of a core, and how old they were.

    `p95_ms` is of the deliveries that came in one piece, and 0 where no times were wanted.
    """

    deliveries: int
    seconds: float
    size: float
    busy: float
    lost: int
    p95_ms: float = 0.0


class _Room:
    def __init__(self) -> None:
        self.deliveries = 0
        self.bytes = 0
        self.lost = 0
        self.first = 0.0
        self.last = 0.0
        self.expected = 0
        self.enough = asyncio.Event()
        self.ages: list[float] = []

    @property
    def p95_ms(self) -> float:
        """The age that 95 % of the deliveries stayed below."""
        return sorted(self.ages)[len(self.ages) * 95 // 100] * 1000 if self.ages else 0.0


class _Socket(asyncio.Protocol):
    def __init__(self, listen: Listen, number: int, room: _Room) -> None:
        self._listen = listen
        self._frames = listen.frames[number % len(listen.frames)] if listen.frames else []
        self._room = room
        self._rest = b""
        self.ready = asyncio.Event()
        self._open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(
            f"GET {self._listen.path} HTTP/1.1\r\nHost: 127.0.0.1:{self._listen.port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        if self.ready.is_set():
            self._count(data)
        else:
            self._prepare(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._room.lost += 1
        self._room.enough.set()

    def _count(self, data: bytes) -> None:
        room = self._room
        if data[0] == _PING:
            self._transport.write(masked(data[2 : 2 + data[1]], _PONG))
        text = self._rest + data
        found = text.count(MARKER)
        self._rest = text[1 - len(MARKER) :]
        room.bytes += len(data)
        if found and self._listen.timed:
            now = time.time()
            room.ages += [now - _seconds(written) for written in _UPDATED_AT.findall(data)]
        if found:
            room.last = time.perf_counter()
            room.first = room.first or room.last
            room.deliveries += found
            if room.deliveries >= room.expected:
                room.enough.set()

    def _prepare(self, data: bytes) -> None:
        self._rest += data
        if not self._open and b"\r\n\r\n" in self._rest:
            self._open = self._rest.startswith(b"HTTP/1.1 101")
            for frame in self._frames:
                self._transport.write(masked(frame.encode()))
        if self._open and self._rest.count(b'"subscribed"') >= self._listen.answers:
            self._rest = b""
            self.ready.set()


def _seconds(written: bytes) -> float:
    return datetime.fromisoformat(written.decode()).timestamp()


def masked(payload: bytes, kind: bytes = _TEXT) -> bytes:
    """A frame of a client (RFC 6455); a mask of zeros leaves the payload as it is."""
    length = len(payload)
    size = bytes([0x80 | length]) if length < 126 else b"\xfe" + length.to_bytes(2, "big")
    return kind + size + bytes(4) + payload


async def main() -> None:
    """Listen until stdin ends."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader(_MAX_COMMAND)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    listen = msgspec.json.decode(await commands.readline(), type=Listen)
    room = _Room()
    for start in range(0, listen.sockets, _WAVE):
        await _connect(listen, room, range(start, min(start + _WAVE, listen.sockets)))
    await _quiet(room)
    _tell(Ready(listen.sockets - room.lost))
    while line := await commands.readline():
        _tell(await _hear(room, int(line), listen.sockets))


async def _connect(listen: Listen, room: _Room, numbers: range) -> None:
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda number=number: _Socket(listen, number, room), "127.0.0.1", listen.port)  # type: ignore[misc]
        for number in numbers
    ]
    async with asyncio.timeout(_SECONDS):
        for _, socket in made:
            await socket.ready.wait()


async def _quiet(room: _Room) -> None:
    before = -1
    while before != room.bytes:
        before = room.bytes
        await asyncio.sleep(_QUIET)


async def _hear(room: _Room, expected: int, sockets: int) -> Heard:
    room.expected, room.deliveries, room.bytes, room.first = expected, 0, 0, 0.0
    room.ages.clear()
    room.enough.clear()
    _tell(Ready(sockets - room.lost))
    worked = time.process_time()
    with suppress(TimeoutError):
        await asyncio.wait_for(room.enough.wait(), _SECONDS)
    took = max(room.last - room.first, 1e-6)
    size = room.bytes / max(1, room.deliveries)
    return Heard(room.deliveries, took, size, (time.process_time() - worked) / took, room.lost, room.p95_ms)


def _tell(message: msgspec.Struct) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    uvloop.run(main())
