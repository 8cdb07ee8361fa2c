"""Live counts and sums of a pipeline's groups, for boards.

Records counts what the subscribers may see, with the position up to which that holds. Each change that they are told
of and that moves something between groups, or changes what is measured, is a reason to count again: at once, and then
after a pause that grows with how long counting takes. All subscribers who may see the same share one counter on a node,
however many come at once.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

import msgspec
import structlog

from libs.common.errors import AppError
from libs.common.filters import COLUMNS
from services.realtime.domain.changes import Change
from services.realtime.domain.messages import Frame, Groups, encode
from services.realtime.domain.sight import Sight, Verdict
from services.realtime.usecases.subscribers import Counted, Subscription

PAUSE_SECONDS = 0.25
RETRY_SECONDS = 2.0
SHARE = 10
"""A counter rests for so many times as long as counting took, so that all its work is a small part of the time."""
MAX_PAUSE_SECONDS = 10.0
MOVING = frozenset({"title", "version", "updated_at", "updated_by"})
"""What any change may change."""

log = structlog.get_logger()


class Result(msgspec.Struct, frozen=True):
    """The groups as records counted them; everything up to `seq` is counted."""

    seq: int
    groups: msgspec.Raw


Count = Callable[[str, Counted], Awaitable[Result]]
Members = Callable[[], Iterable[Subscription]]


class Counter:
    """The counts that one kind of subscriber is told."""

    def __init__(self, channel: str, counted: Counted, count: Count, members: Members) -> None:
        self._channel = channel
        self._counted = counted
        self._fields = counted.fields
        self._count = count
        self._members = members
        self._first: asyncio.Task[bool] | None = None
        self._frame: Frame | None = None
        self._groups = b""
        self._dirty = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def first(self, token: str) -> None:
        """Counts for whoever comes first, while others wait for that; raises why it cannot be counted."""
        if self._frame is not None:
            return
        if self._first is None:
            self._first = asyncio.create_task(self._ask(token))
        try:
            await asyncio.shield(self._first)
        finally:
            if self._first is not None and self._first.done():
                self._first = None

    def begin(self) -> None:
        """From now on counts again when something changes."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        if self._frame is None:
            self.stir()

    def moved(self, change: Change, verdict: Verdict, sight: Sight) -> bool:
        """Whether a change may have made the counts different.

        It has not where the record was and is in view, the fields that count are seen of every record there, and none
        of them has changed.
        """
        if verdict.kind != "record_updated" or self._fields & MOVING:
            return True
        seen = all(sight.always(name) for name in self._fields - COLUMNS.keys())
        return not seen or not self._fields.isdisjoint(change.changed)

    def stir(self) -> None:
        """Something that the subscribers may see has changed."""
        self._dirty.set()

    def greet(self, subscription: Subscription) -> None:
        """Tells a newcomer the counts, where they are known."""
        if self._frame is not None:
            subscription.subscriber.deliver(self._frame)

    def stop(self) -> None:
        """Counts no more."""
        for task in (self._task, self._first):
            if task is not None:
                task.cancel()

    async def _run(self) -> None:
        while True:
            await self._dirty.wait()
            began = time.monotonic()
            await asyncio.sleep(0)
            self._dirty.clear()
            present = [one.subscriber.principal for one in self._members()]
            newest = max(present, key=lambda principal: principal.expires_at, default=None)
            try:
                if newest is not None and await self._ask(newest.token):
                    self._tell()
                pause = min(MAX_PAUSE_SECONDS, max(PAUSE_SECONDS, (time.monotonic() - began) * SHARE))
            except AppError as error:
                await log.awarning("groups cannot be counted", channel=self._channel, error=error.code)
                self._dirty.set()
                pause = RETRY_SECONDS
            await asyncio.sleep(pause)

    async def _ask(self, token: str) -> bool:
        """Counts; whether anything is different."""
        found = await self._count(token, self._counted)
        groups = bytes(found.groups)
        if groups == self._groups:
            return False
        self._groups = groups
        self._frame = Frame(encode(Groups(channel=self._channel, seq=found.seq, groups=found.groups)))
        return True

    def _tell(self) -> None:
        frame = self._frame
        for subscription in self._members() if frame else ():
            if subscription.live and frame is not None:
                subscription.subscriber.deliver(frame)
