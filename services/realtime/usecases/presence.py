"""Who is where, across nodes: entries in Redis under each node's lease, changes told from node to node.

Every node knows the channels it has subscribers in. A node whose lease has run out is taken for dead by each of the
others, which announce its connections as gone. Redis away: channels look empty, and sockets go on.
"""

import asyncio
import time
from contextlib import suppress
from uuid import UUID

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from libs.common.resilience import keep_running
from services.realtime.domain.channels import parse
from services.realtime.domain.messages import Frame, Person, PresenceJoin, PresenceLeave, Present, encode
from services.realtime.storage import presence
from services.realtime.storage.presence import Entry
from services.realtime.usecases.errands import Errands
from services.realtime.usecases.hub import Hub
from services.realtime.usecases.link import AnyWord, Came, Freed, Seized, Shown, Told, Went
from services.realtime.usecases.locks import Locks
from services.realtime.usecases.subscribers import Subscription

RENEWALS_PER_LEASE = 3
KEEP_SECONDS = presence.KEPT_SECONDS / 4

log = structlog.get_logger()


class View:
    """Who is in one channel that this node has subscribers in."""

    __slots__ = ("channel", "entries", "gone", "hub", "joining")

    def __init__(self, hub: Hub, channel: str) -> None:
        self.hub = hub
        self.channel = channel
        self.entries: dict[str, Entry] = {}
        self.joining = 0
        self.gone: set[str] = set()
        """Who left while others were joining, and may still be among those that they read of."""


class Presence:
    """The presence of this node's subscribers, and what it knows of the others'.

    Beyond `members` connections in a channel the list is cut off, and comings and goings are not announced.
    """

    def __init__(self, redis: "Redis", node: str, lease_seconds: float, members: int, locks: Locks) -> None:
        self._redis = redis
        self._locks = locks
        self._node = node
        self._lease = lease_seconds
        self._members = members
        self._views: dict[tuple[UUID, str], View] = {}
        self._heard: dict[str, float] = {}
        self._errands = Errands()
        self._kept = time.monotonic()

    async def join(self, hub: Hub, subscription: Subscription) -> list[Present]:
        """Enters a subscriber into its channel and tells the others; who is there, itself included."""
        channel, entry = subscription.channel.name, self._entry(subscription)
        await self._errands.done(entry.connection)
        view = self._views.get((hub.tenant_id, channel))
        if view is None:
            view = self._views[hub.tenant_id, channel] = View(hub, channel)
        try:
            known = await self._write(view, entry)
        except BaseException:
            self._errands.begin(entry.connection, self._tell_gone(view, entry))
            self._drop_if_unused(view)
            raise
        self._came(view, entry)
        self._errands.begin(entry.connection, hub.link.tell(Came(self._node, channel, entry)))
        return (
            [Present(one.user, one.connection) for one in list(view.entries.values())[: self._members]] if known else []
        )

    def leave(self, hub: Hub, subscription: Subscription) -> None:
        """Takes a subscriber out of its channel and tells the others."""
        channel, entry = subscription.channel.name, self._entry(subscription)
        view = self._views.get((hub.tenant_id, channel))
        if view is None or entry.connection not in view.entries:
            return
        self._went(view, entry)
        self._errands.begin(entry.connection, self._tell_gone(view, entry))
        self._drop_if_unused(view)

    def _drop_if_unused(self, view: View) -> None:
        if not view.joining and not any(one.node == self._node for one in view.entries.values()):
            self._views.pop((view.hub.tenant_id, view.channel), None)

    def hear(self, hub: Hub, word: AnyWord) -> None:
        """Takes in what another node tells."""
        if isinstance(word, Told):
            return hub.tell(word.user, Frame(word.frame))
        if isinstance(word, Shown):
            return hub.show(word)
        if isinstance(word, Seized | Freed):
            return self._locks.hear(hub, word)
        self._heard[word.node] = time.time()
        view = self._views.get((hub.tenant_id, word.channel))
        if view is not None:
            (self._came if isinstance(word, Came) else self._went)(view, word.entry)

    async def run(self) -> None:
        """Renews the lease, and takes dead nodes' connections away, for ever."""
        await keep_running("presence", self._watch, cap=1.0)

    async def stop(self) -> None:
        """Ends the lease."""
        with suppress(RedisError, OSError):
            await presence.resign(self._redis, self._node)
        await self._errands.all_done()

    async def _watch(self) -> None:
        while True:
            known, heard = await presence.renew(self._redis, self._node)
            if not known:
                await self._enter_again()
            self._heard.update({node: max(at, self._heard.get(node, 0.0)) for node, at in heard.items()})
            await self._bury()
            await self._keep()
            await asyncio.sleep(self._lease / RENEWALS_PER_LEASE)

    async def _enter_again(self) -> None:
        """Others, or Redis, have forgotten this node."""
        for view in list(self._views.values()):
            for entry in [one for one in view.entries.values() if one.node == self._node]:
                await presence.join(self._redis, view.hub.tenant_id, view.channel, entry)
                await view.hub.link.tell(Came(self._node, view.channel, entry))

    async def _bury(self) -> None:
        oldest = time.time() - self._lease
        dead = {node for node, at in self._heard.items() if at < oldest and node != self._node}
        for view in list(self._views.values()) if dead else ():
            gone = [entry for entry in view.entries.values() if entry.node in dead]
            for entry in gone:
                self._went(view, entry)
            if gone:
                await presence.leave(self._redis, view.hub.tenant_id, view.channel, [one.connection for one in gone])
        for node in dead:
            await presence.resign(self._redis, node)
            del self._heard[node]

    async def _keep(self) -> None:
        if time.monotonic() - self._kept > KEEP_SECONDS:
            self._kept = time.monotonic()
            await presence.keep(self._redis, list(self._views))

    def _entry(self, subscription: Subscription) -> Entry:
        subscriber = subscription.subscriber
        return Entry(self._node, subscriber.id, Person(subscriber.principal.id, subscriber.principal.name))

    def _came(self, view: View, entry: Entry) -> None:
        self._heard.setdefault(entry.node, time.time())
        view.gone.discard(entry.connection)
        if entry.connection not in view.entries:
            view.entries[entry.connection] = entry
            message = PresenceJoin(channel=view.channel, user=entry.user, connection=entry.connection)
            self._announce(view, encode(message), entry.connection, len(view.entries))

    def _went(self, view: View, entry: Entry) -> None:
        if view.joining:
            view.gone.add(entry.connection)
        if view.entries.pop(entry.connection, None) is not None:
            message = PresenceLeave(channel=view.channel, user=entry.user, connection=entry.connection)
            self._announce(view, encode(message), entry.connection, len(view.entries) + 1)

    def _announce(self, view: View, text: str, but: str, crowd: int) -> None:
        if crowd <= self._members:
            view.hub.send(parse(view.channel), Frame(text), but)

    async def _write(self, view: View, entry: Entry) -> bool:
        """Enters a connection into Redis, and learns who else is there; whether Redis answered."""
        view.joining += 1
        try:
            lease = None if view.entries else self._lease
            found = await presence.join(self._redis, view.hub.tenant_id, view.channel, entry, lease)
            gone = {entry.connection, *view.gone}
            view.entries.update({one.connection: one for one in found if one.connection not in gone})
        except (RedisError, OSError) as error:
            await log.awarning("presence is not available", error=repr(error))
            return False
        finally:
            view.joining -= 1
            if not view.joining:
                view.gone.clear()
        return True

    async def _tell_gone(self, view: View, entry: Entry) -> None:
        """Erases a connection before the others are told, so that nobody reads of it who was not told."""
        with suppress(RedisError, OSError):
            await presence.leave(self._redis, view.hub.tenant_id, view.channel, [entry.connection])
        await view.hub.link.tell(Went(self._node, view.channel, entry))
