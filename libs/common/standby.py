"""Reading from a standby of PostgreSQL: as old as is stated at most, with one's own writes, and a true position.

Every moment a *mark* is taken on the primary: the time, the position of the stream, then where its log ends. What was
committed when the mark was taken lies before that place. When the standby has replayed it, whatever is read there is at
least as new as the mark: its time bounds the staleness, its position is one that the data contains, and who wrote
before its time reads what they wrote. Without a mark that is young enough, the primary is read.

This holds because a standby only moves on. One that begins anew may be behind what it showed before, so each new
connection is asked how far the server has come. The address has to lead to one server.
"""

import asyncio
import time
from collections import deque
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec
import nats.errors
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import CollectorRegistry, Counter, Gauge

from libs.common import events
from libs.common.bus import Bus
from libs.common.connections import Connections
from libs.common.errors import Unavailable
from libs.common.postgres import Connection, Database
from libs.common.resilience import end, keep_running

POLL_SECONDS = 0.1
ANSWER_SECONDS = 1.0
MAX_MARKS = 600
MAX_WRITERS = 50_000
NEVER = float("-inf")

_PRIMARY = "select (pg_current_wal_insert_lsn() - '0/0')::bigint"
_STANDBY = "select pg_is_in_recovery() as standby, (pg_last_wal_replay_lsn() - '0/0')::bigint as replayed"


class Behind(OSError):
    """The standby cannot be relied on."""


class Mark(NamedTuple):
    """What the primary had: at a time of the monotonic clock, up to a position of the stream, in its log."""

    at: float
    position: int
    lsn: int


class Standby(Database):
    """The pool of a standby, none of whose connections shows less than was seen there before."""

    seen = 0

    async def _dial(self, dsn: str | None = None, **options: Any) -> "asyncpg.Connection[asyncpg.Record]":
        connection = await super()._dial(dsn, **options)
        try:
            if await replayed(connection) < self.seen:
                raise Behind("the standby has not come as far as before")
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def acquire(self, pool: Connections | None = None) -> Connection:
        """A connection; the primary is asked when there is none at once."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await super().acquire(pool)
        except TimeoutError as error:
            raise Unavailable("The standby is away") from error


async def replayed(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
    """How far a standby has come; raises where the server is none."""
    row = await connection.fetchrow(_STANDBY, timeout=ANSWER_SECONDS)
    if row is None or not row["standby"] or row["replayed"] is None:
        raise Behind("the server is no standby")
    return int(row["replayed"])


class Reads:
    """Decides for each reader whether the standby will do."""

    def __init__(
        self, service: str, primary: Database, standby: Standby, bus: Bus, staleness: float, registry: CollectorRegistry
    ) -> None:
        self._subject = f"wrote.{service}"
        self._primary = primary
        self.standby = standby
        self._bus = bus
        self._staleness = staleness
        self._marks: deque[Mark] = deque()
        self._mark: Mark | None = None
        self._writers: dict[UUID, float] = {}
        self._all = NEVER
        self._heeded: list[str] = []
        self._task: asyncio.Task[None] | None = None
        self._reads = Counter("standby_reads_total", "Reads that a standby was given", registry=registry)
        self._again = Counter("standby_reads_again_total", "Reads made again on the primary", registry=registry)
        lag = Gauge("standby_behind_seconds", "Age of what the standby is known to show", registry=registry)
        lag.set_function(self.age)
        primary.written.append(self.wrote)

    def age(self) -> float:
        """How old, at most, is what the standby shows."""
        return time.monotonic() - self._mark.at if self._mark is not None else float("inf")

    def choose(self, principal_id: UUID, tenant_id: UUID, after: int) -> Mark | None:
        """The mark to read under, where the standby may be read and has come to a position; else null."""
        mark = self._mark
        if mark is None or mark.position < after or time.monotonic() - mark.at > self._staleness:
            return None
        wrote = max(self._writers.get(principal_id, NEVER), self._writers.get(tenant_id, NEVER), self._all)
        if wrote >= mark.at:
            return None
        self._reads.inc()
        return mark

    def wrote(self, writer: UUID) -> None:
        """A principal has written, or something has changed for a tenant: they read the primary for a while."""
        self._note(writer)
        with suppress(RuntimeError):  # without a loop nobody can be told
            task = asyncio.get_running_loop().create_task(self._tell(writer))
            _telling.add(task)
            task.add_done_callback(_telling.discard)

    def failed(self) -> None:
        """The standby did not answer: it is not asked until it is known to be well."""
        self._mark = None
        self._again.inc()

    async def start(self) -> None:
        """Begins to follow both servers, in the background."""
        await self.standby.start()
        self._bus.listen(self._subject, self._hear)
        for subject in self._heeded:
            self._bus.listen(subject, self._changed)
        self._task = asyncio.create_task(keep_running("standby", self._follow, cap=1.0))

    async def stop(self) -> None:
        """Ends that."""
        if self._task is not None:
            await end([self._task])
        await self.standby.stop()

    def heed(self, subject: str) -> None:
        """Has tenants read the primary for a while after events on a subject; to be said before the start."""
        self._heeded.append(subject)

    def _note(self, writer: UUID) -> None:
        self._writers[writer] = time.monotonic()
        if len(self._writers) > MAX_WRITERS:
            self._writers.clear()
            self._all = time.monotonic()

    async def _tell(self, writer: UUID) -> None:
        with suppress(Unavailable, nats.errors.Error, OSError):
            await self._bus.client.publish(self._subject, writer.bytes)

    async def _hear(self, payload: bytes) -> None:
        self._note(UUID(bytes=payload))

    async def _changed(self, payload: bytes) -> None:
        self._note(events.decode(payload, msgspec.Raw).tenant_id)

    async def _follow(self) -> None:
        self._marks.clear()
        primary = await self._primary.connect()
        try:
            standby = await self.standby.connect()
            try:
                while True:
                    await self._look(primary, standby)
                    await asyncio.sleep(POLL_SECONDS)
            finally:
                standby.terminate()
        finally:
            self._mark = None
            primary.terminate()

    async def _look(self, primary: "asyncpg.Connection[Any]", standby: "asyncpg.Connection[Any]") -> None:
        at, position = time.monotonic(), self._bus.position
        if self._marks and position < self._marks[-1].position:  # a stream that was made anew
            self._marks.clear()
            self._mark = None
        lsn = int(await primary.fetchval(_PRIMARY, timeout=ANSWER_SECONDS))
        self._marks.append(Mark(at, position, lsn))
        self.standby.seen = reached = await replayed(standby)
        while self._marks and self._marks[0].lsn <= reached:
            self._mark = self._marks.popleft()
        if len(self._marks) > MAX_MARKS:
            self._marks = deque(list(self._marks)[::2])
        if self._mark is not None:
            oldest = self._mark.at
            self._writers = {writer: wrote for writer, wrote in self._writers.items() if wrote >= oldest}


class Reading:
    """One request: who asks, and the mark it is answered under where that is by the standby."""

    __slots__ = ("_after", "_reads", "mark", "principal_id")

    def __init__(self, reads: Reads | None, after: int) -> None:
        self._reads = reads
        self._after = after
        self.mark: Mark | None = None
        self.principal_id: UUID | None = None

    def enter(self, principal_id: UUID, tenant_id: UUID) -> tuple[Database, int] | None:
        """Notes who asks; the database to read and the position that its data contains, where it is a standby's."""
        self.principal_id = principal_id
        if self._reads is None:
            return None
        self.mark = self._reads.choose(principal_id, tenant_id, self._after)
        return None if self.mark is None else (self._reads.standby, self.mark.position)


_reading: ContextVar[Reading | None] = ContextVar("reading", default=None)
_telling: set[asyncio.Task[None]] = set()


def enter(principal_id: UUID, tenant_id: UUID) -> tuple[Database, int] | None:
    """Where the running request may read besides the primary, and the position of the stream that the data contains."""
    reading = _reading.get()
    return None if reading is None else reading.enter(principal_id, tenant_id)


class ReadElsewhere:
    """An ASGI layer that lets GET requests read the standby, and asks again where that fails.

    `Cache-Control: no-cache` asks for the primary; `Min-Change-Seq` for data that contains all up to that position.
    """

    def __init__(self, app: ASGIApp, reads: Reads) -> None:
        self._app = app
        self._reads = reads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        if scope["type"] != "http":  # type: ignore[comparison-overlap]
            return await self._app(scope, receive, send)
        if scope.get("method") not in ("GET", "HEAD"):
            return await self._write(scope, receive, send)
        headers = dict(scope["headers"])
        after = headers.get(b"min-change-seq", b"0")
        fresh = b"no-cache" in headers.get(b"cache-control", b"") or not after.isdigit()
        if fresh or not await self._answered(scope, receive, send, int(after[:19])):
            _reading.set(None)
            await self._app(scope, receive, send)

    async def _answered(self, scope: Scope, receive: Receive, send: Send, after: int) -> bool:
        reading = Reading(self._reads, after)
        _reading.set(reading)
        failed = False

        async def answer(message: Message) -> None:
            nonlocal failed
            if message["type"] == "http.response.start":
                failed = reading.mark is not None and (message["status"] >= 500 or message["status"] == 409)
            if not failed:
                await send(message)

        copy: Any = {**scope, "state": dict(scope.get("state") or {})}
        await self._app(copy, receive, answer)
        scope["path_template"] = copy.get("path_template", "")
        if failed:
            self._reads.failed()
        return not failed

    async def _write(self, scope: Scope, receive: Receive, send: Send) -> None:
        reading = Reading(None, 0)
        _reading.set(reading)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and reading.principal_id is not None:
                self._reads.wrote(reading.principal_id)
            await send(message)

        await self._app(scope, receive, answer)
