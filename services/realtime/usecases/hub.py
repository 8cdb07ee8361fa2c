"""One tenant on this node: its feed, its recent changes, and who is told of which."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from uuid import UUID

from libs.common.bus import Bus
from libs.common.resilience import deadline
from services.realtime.domain.changes import Change
from services.realtime.domain.channels import Channel
from services.realtime.domain.definitions import Definition
from services.realtime.domain.messages import Frame, ResyncRequired, encode
from services.realtime.usecases import records
from services.realtime.usecases.counting import Counter
from services.realtime.usecases.definitions import Definitions
from services.realtime.usecases.feed import Feed
from services.realtime.usecases.groups import Group, Key, Told, World, key_of
from services.realtime.usecases.link import AnyWord, Link, Shown
from services.realtime.usecases.metrics import LiveMetrics
from services.realtime.usecases.past import Page, Past, read
from services.realtime.usecases.subscribers import Subscription

RECENT_CHANGES = 500
RECENT_BYTES = 2 * 1024 * 1024
CHECK_EVERY = 100
BREATH_SECONDS = 0.01
BEGIN_SECONDS = 5.0

Hear = Callable[["Hub", AnyWord], None]


class Hub:
    """Fans a tenant's changes out.

    Everything after `floor` is in `recent`; `proof` is the last change at or before the floor that surely existed
    (None where none is known). `position` is the last change that was fanned out. A new `epoch` begins where the stream
    no longer had what came next: every subscription has ended then.
    """

    def __init__(
        self, tenant_id: UUID, node: str, bus: Bus, definitions: Definitions, past: Past, metrics: LiveMetrics,
        hear: Hear,
    ) -> None:  # fmt: skip
        self.tenant_id = tenant_id
        self.definitions = definitions
        self.position = 0
        self.floor = 0
        self.proof: int | None = None
        self.recent: deque[Change] = deque()
        self.users = 0
        self.epoch = 0
        self._past = past
        self._era = object()
        self._recent_bytes = 0
        self._breath = 0.0
        self._channels: dict[str, dict[Key, Group]] = {}
        self._counters: dict[tuple[str, Key], Counter] = {}
        self._count = partial(records.count, bus)
        self._moved = asyncio.Event()
        self.metrics = metrics
        self._world = World(self.known, partial(records.look, bus), self._lose)
        self._feed = Feed(bus, tenant_id, self._take, self._begin)
        self._feed.start()
        self.link = Link(bus, tenant_id, node, lambda word: hear(self, word))

    async def begun(self) -> None:
        """Waits until the feed's position is known and other nodes are heard; late is `Unavailable`."""
        async with deadline(BEGIN_SECONDS, "The stream of changes"):
            await self._feed.begun()
            await self.link.ready()

    async def stop(self) -> None:
        """Ends the feed and the link."""
        await self._feed.stop()
        await self.link.stop()
        self._past.forget(self._era)

    def after(self, position: int) -> list[Change] | None:
        """What was fanned out after a position; None where memory does not hold all of it."""
        if position < self.floor or position > self.position:
            return None
        return [change for change in self.recent if change.seq > position]

    def missed(self, channel: str, position: int) -> list[Change]:
        """What a channel is told of that was fanned out after a position, as far as memory holds it."""
        found = []
        for change in reversed(self.recent):
            if change.seq <= position:
                break
            if channel in change.channels:
                found.append(change)
        return found[::-1]

    async def page(self, position: int, proof: int) -> Page:
        """What the stream has after a position, a page of it; `proof` is an event that surely came later."""
        return await self._past.page(self._era, self.tenant_id, position, proof)

    async def moved(self, position: int) -> None:
        """Waits until something was fanned out after a position, or the stream has begun anew."""
        epoch = self.epoch
        while self.position <= position and self.epoch == epoch:
            await self._moved.wait()

    def _move(self, position: int) -> None:
        self.position = position
        self._moved.set()
        self._moved = asyncio.Event()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps the hub from being closed for want of subscriptions."""
        self.users += 1
        try:
            yield
        finally:
            self.users -= 1

    def group_of(self, subscription: Subscription) -> Group:
        """The group that a subscription belongs to, or a new one that nobody is in yet."""
        key = key_of(subscription)
        present = self._channels.get(subscription.channel.name, {}).get(key)
        return present or Group(subscription.channel, key, subscription.tree, self._world)

    def attach(self, subscription: Subscription) -> None:
        """From now on the subscription is told of every change after the position."""
        group = self.group_of(subscription)
        self._channels.setdefault(subscription.channel.name, {})[group.key] = group
        group.members[subscription] = None
        if group.key.counted is not None and group.counter is None:
            group.counter = self._counters.pop((subscription.channel.name, group.key), None) or self._counter(group)
            group.counter.begin()
        subscription.live, subscription.ended = True, False
        self.users += 1
        self.metrics.subscriptions.inc()

    def detach(self, subscription: Subscription) -> None:
        """Ends a subscription, also one that ended already."""
        subscription.live, subscription.ended = False, True
        groups = self._channels.get(subscription.channel.name, {})
        for key, group in list(groups.items()):
            if subscription in group.members:
                del group.members[subscription]
                self.users -= 1
                self.metrics.subscriptions.dec()
                if not group.members:
                    groups.pop(key).close()
        if not groups:
            self._channels.pop(subscription.channel.name, None)
        if subscription.counted is not None:
            self._counters.pop((subscription.channel.name, key_of(subscription)), None)

    async def count(self, subscription: Subscription) -> None:
        """Counts what a subscription that is about to begin wants counted, unless it is known; raises why it cannot."""
        group = self.group_of(subscription)
        if group.counter is None:
            place = (subscription.channel.name, group.key)
            counter = self._counters.setdefault(place, self._counter(group))
            try:
                await counter.first(subscription.subscriber.principal.token)
            except BaseException:
                self._counters.pop(place, None)
                raise

    def show_counts(self, subscription: Subscription) -> None:
        """Tells a subscription that has begun what was counted."""
        counter = self.group_of(subscription).counter
        if counter is not None:
            counter.greet(subscription)

    def _counter(self, group: Group) -> Counter:
        assert group.key.counted is not None
        name, key = group.channel.name, group.key

        def members() -> list[Subscription]:
            present = self._channels.get(name, {}).get(key)
            return list(present.members) if present else []

        return Counter(name, group.key.counted, self._count, members)

    def regroup(self, subscription: Subscription) -> None:
        """Moves a subscription to where it belongs by its subscriber's present permissions."""
        groups = self._channels.get(subscription.channel.name, {}).values()
        if any(group.asking for group in groups if subscription in group.members):
            return self._lose(subscription)
        self.detach(subscription)
        self.attach(subscription)

    def rename(self, subscription: Subscription, renames: Mapping[str, str]) -> None:
        """Lets a subscription speak of fields by their new names; one that is still catching up must begin anew."""
        if not subscription.live:
            subscription.ended = subscription.rename(renames) or subscription.ended
            return
        groups = list(self._channels.get(subscription.channel.name, {}).values())
        if any(group.asking for group in groups if subscription in group.members):
            return self._lose(subscription)
        self.detach(subscription)
        subscription.rename(renames)
        self.attach(subscription)

    def subscriptions(self, channel: str | None = None) -> list[Subscription]:
        """Who is subscribed, to one channel or to any."""
        names = [channel] if channel is not None else list(self._channels)
        groups = (group for name in names for group in self._channels.get(name, {}).values())
        return [member for group in groups for member in group.members]

    def send(self, channel: Channel, frame: Frame, but: str = "") -> None:
        """Sends a frame to all subscribers of a channel but one connection."""
        for subscription in self.subscriptions(channel.name):
            if subscription.subscriber.id != but:
                subscription.subscriber.deliver(frame)

    def show(self, word: Shown) -> None:
        """Gives a frame to those of a channel who may read what it is about, but for its sender."""
        frame = Frame(word.frame)
        for group in self._channels.get(word.channel, {}).values():
            for subscription in group.members if word.field is None or group.reads(word.field) else ():
                if subscription.subscriber.id != word.connection:
                    subscription.subscriber.deliver(frame)

    def tell(self, user_id: UUID, frame: Frame) -> None:
        """Gives a frame to the sockets of one user that are on their own channel."""
        for subscription in self.subscriptions("user"):
            if subscription.subscriber.principal.id == user_id:
                subscription.subscriber.deliver(frame)

    def known(self, pipeline_id: UUID) -> Definition | None:
        """The definition of a pipeline, where it is in memory."""
        return self.definitions.cached(self.tenant_id, pipeline_id)

    def _begin(self, position: int, proof: int | None) -> None:
        self.epoch += 1
        self._past.forget(self._era)
        self._era = object()
        self.floor = position
        self._move(position)
        self.proof = proof
        self.recent.clear()
        self._recent_bytes = 0
        for subscription in self.subscriptions():
            self._lose(subscription)

    def _lose(self, subscription: Subscription) -> None:
        """Ends a subscription that may have missed something."""
        self.detach(subscription)
        message = ResyncRequired(channel=subscription.channel.name, seq=self.position)
        subscription.subscriber.deliver(Frame(encode(message)))

    async def _take(self, seq: int, payload: bytes) -> None:
        change = read(seq, payload)
        if change is None:
            return
        await self.definitions.get_or_bare(self.tenant_id, change.head.pipeline_id)
        told = self._plan(change)
        self._remember(change)
        await self._deliver(told)

    def _remember(self, change: Change) -> None:
        self.recent.append(change)
        self._move(change.seq)
        self._recent_bytes += change.size
        while len(self.recent) > RECENT_CHANGES or self._recent_bytes > RECENT_BYTES:
            oldest = self.recent.popleft()
            self._recent_bytes -= oldest.size
            self.floor = self.proof = oldest.seq

    def _plan(self, change: Change) -> list[Told]:
        names = [name for name in change.channels if name in self._channels]
        groups = [group for name in names for group in self._channels[name].values()]
        return [told for group in groups for told in group.tell(change)]

    async def _deliver(self, told: list[Told]) -> None:
        """Hands frames out, pausing for others every so often, and not between changes.

        What a socket is given between two pauses goes out in one write, so that a burst costs fewer system calls.
        """
        sent = 0
        for frame, members in told:
            for subscription in members:
                if subscription.live and subscription.after < self.position:
                    subscription.subscriber.deliver(frame)
                    sent += 1
                    if sent % CHECK_EVERY == 0 and time.monotonic() - self._breath > BREATH_SECONDS:
                        await asyncio.sleep(0)
                        self._breath = time.monotonic()
        self.metrics.deliveries.inc(sent)
