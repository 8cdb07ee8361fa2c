"""The way out of a socket: straight while the reader keeps up, through a bounded queue while it does not."""

import asyncio
from collections import deque
from collections.abc import Callable

from litestar.types import Send

from services.realtime.domain.messages import Frame


class Outlet:
    """Sends frames in order and never makes the caller wait. `overflow` is called once, when the queue is full."""

    __slots__ = ("_bytes", "_draining", "_max_bytes", "_max_frames", "_overflow", "_queue", "_send", "closed")

    def __init__(self, send: Send, max_frames: int, max_bytes: int, overflow: Callable[[], None]) -> None:
        self._send = send
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._overflow = overflow
        self._queue: deque[Frame] = deque()
        self._bytes = 0
        self._draining: asyncio.Task[None] | None = None
        self.closed = False

    def put(self, frame: Frame) -> None:
        """Sends a frame, or queues it behind those that wait."""
        if self.closed:
            return
        if self._draining is not None or not self._send_now(frame):
            self._enqueue(frame)

    def end(self, last: Frame | None, code: int, reason: str = "", *, now: bool = False) -> None:
        """Sends a last frame and closes, after what is queued, or instead of it."""
        if now:
            self._queue.clear()
            self._bytes = 0
        for frame in (last, _close(code, reason)):
            if frame is not None:
                self.put(frame)
        self.closed = True

    async def flushed(self) -> None:
        """Waits until nothing is queued."""
        if self._draining is not None:
            await asyncio.shield(self._draining)

    def cancel(self) -> None:
        """Gives up what is queued."""
        self.closed = True
        if self._draining is not None:
            self._draining.cancel()

    def _send_now(self, frame: Frame) -> bool:
        # A server's send() waits before it writes, and only while the transport is backed up. So one step either
        # sends the frame or tells that the reader is behind, and costs no task.
        sending = self._send(frame.event)  # type: ignore[arg-type]
        try:
            sending.send(None)  # type: ignore[attr-defined]
        except StopIteration:
            return True
        except Exception:  # the peer has gone: the receiving side is told so, and ends the connection
            self.closed = True
            return True
        sending.close()  # type: ignore[attr-defined]
        return False

    def _enqueue(self, frame: Frame) -> None:
        self._queue.append(frame)
        self._bytes += frame.size
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain())
        if len(self._queue) > self._max_frames or self._bytes > self._max_bytes:
            self._overflow()

    async def _drain(self) -> None:
        try:
            while self._queue:
                frame = self._queue.popleft()
                self._bytes -= frame.size
                await self._send(frame.event)  # type: ignore[arg-type]
        except Exception:  # the peer has gone
            self.closed = True
            self._queue.clear()
        finally:
            self._draining = None


def _close(code: int, reason: str) -> Frame:
    return Frame.of({"type": "websocket.close", "code": code, "reason": reason})
