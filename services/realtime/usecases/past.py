"""What the stream keeps of tenants' changes, read once for all who come back at about the same time."""

import asyncio
from bisect import bisect_right, insort
from collections import OrderedDict, defaultdict
from collections.abc import Coroutine, Iterator, Sequence
from uuid import UUID

import msgspec
import structlog

from libs.common import events
from libs.common.bus import Bus
from services.realtime.domain.changes import Change, Recorded
from services.realtime.storage import stream

MAX_BYTES = 32 * 1024 * 1024
"""Of all tenants' changes on a node, as the stream keeps them."""

Era = object
"""Within one, the stream is the same: another begins when it was made anew."""

log = structlog.get_logger()


def read(seq: int, payload: bytes) -> Change | None:
    """The change that an event tells of; None where it cannot be read, which is logged."""
    try:
        event = events.decode(payload, Recorded, seq)
        return Change(seq, event.type.rpartition(".")[2], event.time, event.data)
    except msgspec.MsgspecError as error:
        log.error("a change could not be read", seq=seq, error=repr(error))
        return None


class Page:
    """All changes of a tenant after `start`, up to `end`, read when the stream began at `first`."""

    def __init__(self, start: int, first: int, stored: Sequence[stream.Stored]) -> None:
        self.start = start
        self.end = stored[-1].seq
        self.first = first
        self.bytes = sum(len(one.payload) for one in stored)
        self._of: defaultdict[str, list[Change]] = defaultdict(list)
        for one in stored:
            if change := read(one.seq, one.payload):
                for name in change.channels:
                    self._of[name].append(change)

    def told(self, channel: str, after: int) -> Iterator[Change]:
        """What a channel is told of, after a position."""
        return (change for change in self._of.get(channel, ()) if change.seq > after)


class Past:
    """The pages that were read last, within a bound on their bytes."""

    def __init__(self, bus: Bus, max_bytes: int = MAX_BYTES) -> None:
        self._bus = bus
        self._max_bytes = max_bytes
        self._bytes = 0
        self._pages: OrderedDict[tuple[Era, int], Page] = OrderedDict()
        self._starts: defaultdict[Era, list[int]] = defaultdict(list)
        self._reading: dict[Era, asyncio.Task[None]] = {}

    async def page(self, era: Era, tenant_id: UUID, after: int, proof: int) -> Page:
        """A page with the next change after a position, where it is known that an event `proof` came later.

        One at a time reads for a tenant; the others find what they wait for in what it has read.
        """
        while (found := self._find(era, after)) is None:
            reading = self._reading.get(era)
            if reading is None or reading.done():  # One that is over was not of what is wanted here.
                reading = self._begin(era, self._read(era, tenant_id, after, proof))
            await asyncio.shield(reading)
        return found

    def forget(self, era: Era) -> None:
        """Lets go of an era's pages."""
        for start in self._starts.pop(era, ()):
            self._bytes -= self._pages.pop((era, start)).bytes

    def _begin(self, era: Era, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = self._reading[era] = asyncio.create_task(work)

        def ended(task: asyncio.Task[None]) -> None:
            if self._reading.get(era) is task:
                del self._reading[era]
            if not task.cancelled():
                task.exception()  # Nobody may be waiting any more to hear of it.

        task.add_done_callback(ended)
        return task

    async def _read(self, era: Era, tenant_id: UUID, after: int, proof: int) -> None:
        stored = await stream.read_to(self._bus, tenant_id, after, proof)
        self._keep(era, Page(after, (await stream.bounds(self._bus)).first, stored))

    def _find(self, era: Era, after: int) -> Page | None:
        starts = self._starts.get(era, [])
        index = bisect_right(starts, after) - 1
        page = self._pages[era, starts[index]] if index >= 0 else None
        if page is None or page.end <= after:
            return None
        self._pages.move_to_end((era, page.start))
        return page

    def _keep(self, era: Era, page: Page) -> None:
        key = era, page.start
        if key in self._pages:
            self._bytes -= self._pages.pop(key).bytes
        else:
            insort(self._starts[era], page.start)
        self._pages[key] = page
        self._bytes += page.bytes
        while self._bytes > self._max_bytes and len(self._pages) > 1:
            (oldest, start), gone = self._pages.popitem(last=False)
            self._bytes -= gone.bytes
            self._starts[oldest].remove(start)
            if not self._starts[oldest]:
                del self._starts[oldest]
