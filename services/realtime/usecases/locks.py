"""Locks of fields: granted and judged by records, kept alive for sockets, and shown to those who may see the field.

A node renews its sockets' leases and tells the others of each lock again, three times per lease. What is not told of
again for a lease has ended for them: its node is gone. Redis only tells those who come later; where it is away they
learn of a lock when it is told of next. A lock is never decided here, so no clock and no silence breaks one; and none
is told to have ended before records has let go of it, so that who hears of it may write.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from libs.common.bus import Bus
from libs.common.errors import AppError, NotFound, RateLimited, Unavailable
from libs.common.resilience import keep_running
from services.realtime.domain.channels import Channel
from services.realtime.domain.locks import Board, Holding, Lock
from services.realtime.domain.messages import Frame, Locked, Person, Unlocked, encode
from services.realtime.storage import locks as storage
from services.realtime.usecases import records
from services.realtime.usecases.errands import Errands
from services.realtime.usecases.hub import Hub
from services.realtime.usecases.link import Freed, Seized, Shown
from services.realtime.usecases.registry import Connected
from services.realtime.usecases.subscribers import Subscription

RENEWALS_PER_LEASE = 3
AT_ONCE = 500
MAX_LOCKS = 50
"""That one socket may hold."""

log = structlog.get_logger()

Place = tuple[UUID, str]
"""A record and a field."""


class Holder:
    """A socket and what it holds."""

    __slots__ = ("connection", "hub", "locks")

    def __init__(self, connection: Connected, hub: Hub) -> None:
        self.connection = connection
        self.hub = hub
        self.locks: dict[Place, Lock] = {}


class Locks:
    """The locks of this node's sockets, and what it knows of the others'."""

    def __init__(self, bus: Bus, redis: "Redis", node: str, lease_seconds: float) -> None:
        self._bus = bus
        self._redis = redis
        self._node = node
        self._lease = lease_seconds
        self._holders: dict[str, Holder] = {}
        self._boards: dict[tuple[UUID, UUID], tuple[Hub, Board]] = {}
        self._errands = Errands()

    def token_of(self, connection: Connected, record_id: UUID, field: str) -> int | None:
        """The token by which a socket holds a field, if it does."""
        holder = self._holders.get(connection.id)
        lock = holder.locks.get((record_id, field)) if holder else None
        return lock.token if lock else None

    async def seize(self, hub: Hub, connection: Connected, record_id: UUID, field: str) -> None:
        """Gives a field to a socket and tells all; raises what records raises, `Conflict` where another has it."""
        await self._errands.done(connection.id)
        holder = self._holders.get(connection.id)
        if holder and (record_id, field) not in holder.locks and len(holder.locks) >= MAX_LOCKS:
            raise RateLimited(f"A socket holds at most {MAX_LOCKS} fields", code="too-many-locks")
        token = await self._ask(connection, record_id, field)
        principal = connection.principal
        lock = Lock(self._node, connection.id, Person(principal.id, principal.name), field, token)
        if Channel("record", record_id).name not in connection.subscriptions:
            await self._let_go(hub.tenant_id, record_id, [lock])
            raise NotFound("Subscribe to the record first", code="not-subscribed")
        holder = self._holders.setdefault(connection.id, Holder(connection, hub))
        holder.locks[record_id, field] = lock
        connection.deliver(Frame(encode(_locked(record_id, lock, token, self._lease))))
        await self._keep(hub.tenant_id, [(record_id, lock)])
        if holder.locks.get((record_id, field)) == lock:
            self._note(hub, record_id, lock)
            await hub.link.tell(Seized(self._node, _name(record_id), lock))

    async def free(self, connection: Connected, record_id: UUID, field: str) -> None:
        """Lets go of a field, also one that the socket does not hold (any more)."""
        holder = self._holders.get(connection.id)
        lock = holder.locks.get((record_id, field)) if holder else None
        if holder is not None and lock is not None:
            self._drop(holder, record_id, lock)
            await self._release(holder.hub, record_id, [lock])

    def leave(self, subscription: Subscription) -> None:
        """Lets go of all that a socket holds of a record that it leaves."""
        record_id, holder = subscription.channel.id, self._holders.get(subscription.subscriber.id)
        if subscription.channel.kind != "record" or record_id is None:
            return
        tenant_id = subscription.subscriber.principal.tenant_id
        if holder is not None:
            gone = [lock for (record, _), lock in holder.locks.items() if record == record_id]
            for lock in gone:
                self._drop(holder, record_id, lock)
            if gone:
                self._errands.begin(holder.connection.id, self._release(holder.hub, record_id, gone))
        known = self._boards.get((tenant_id, record_id))
        if known and not known[0].subscriptions(subscription.channel.name):
            del self._boards[tenant_id, record_id]

    async def watch(self, hub: Hub, record_id: UUID) -> None:
        """Begins to follow the locks of a record, where nobody on this node did."""
        known = self._boards.get((hub.tenant_id, record_id))
        if known is not None and known[0] is hub:
            return
        board = Board()
        self._boards[hub.tenant_id, record_id] = (hub, board)
        try:
            for lock in await storage.read(self._redis, hub.tenant_id, record_id):
                board.put(lock, self._good_until())
        except (RedisError, OSError) as error:
            await log.awarning("locks cannot be listed", error=repr(error))

    async def greet(self, hub: Hub, subscription: Subscription) -> None:
        """Shows a newcomer the locks of the record, of the fields that it may see."""
        record_id = subscription.channel.id
        if subscription.channel.kind != "record" or record_id is None:
            return
        await self.watch(hub, record_id)
        known = self._boards.get((hub.tenant_id, record_id))
        for lock in known[1].all() if known else ():
            if lock.connection != subscription.subscriber.id and hub.group_of(subscription).reads(lock.field):
                subscription.subscriber.deliver(Frame(encode(_locked(record_id, lock))))

    def hear(self, hub: Hub, word: Seized | Freed) -> None:
        """Takes in what another node tells."""
        record_id = UUID(word.channel.partition(":")[2])
        if (hub.tenant_id, record_id) in self._boards:
            (self._note if isinstance(word, Seized) else self._end)(hub, record_id, word.lock)

    async def review(self, connection: Connected) -> None:
        """Lets go of what a socket's principal may not write any more."""
        holder = self._holders.get(connection.id)
        for (record_id, field), lock in list(holder.locks.items()) if holder else ():
            try:
                await self._ask(connection, record_id, field)
            except Unavailable:
                return
            except AppError:
                await self._lose(connection, record_id, lock)

    async def run(self) -> None:
        """Renews leases, and forgets what nobody tells of any more, for ever."""
        await keep_running("locks", self._work, cap=1.0)

    async def stop(self) -> None:
        """Waits until what was let go of is told."""
        await self._errands.all_done()

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(self._lease / RENEWALS_PER_LEASE)
            tenants: dict[UUID, list[tuple[Holder, UUID, Lock]]] = defaultdict(list)
            for holder in self._holders.values():
                tenants[holder.hub.tenant_id] += [(holder, record, lock) for (record, _), lock in holder.locks.items()]
            for tenant_id, held in tenants.items():
                for begin in range(0, len(held), AT_ONCE):
                    await self._renew(tenant_id, held[begin : begin + AT_ONCE])
            self._forget()

    async def _renew(self, tenant_id: UUID, held: list[tuple[Holder, UUID, Lock]]) -> None:
        asked = [Holding(record, lock.field, lock.token) for _, record, lock in held]
        try:
            kept = set(await records.renew_locks(self._bus, tenant_id, asked, self._lease))
        except AppError as error:
            await log.awarning("locks cannot be renewed", error=repr(error))
            kept = {lock.token for _, _, lock in held}
        present = [one for one in held if one[0].locks.get((one[1], one[2].field)) == one[2]]
        await self._keep(tenant_id, [(record, lock) for _, record, lock in present if lock.token in kept])
        for holder, record_id, lock in present:
            if holder.locks.get((record_id, lock.field)) != lock:
                continue
            if lock.token in kept:
                self._note(holder.hub, record_id, lock)
                await holder.hub.link.tell(Seized(self._node, _name(record_id), lock))
            else:
                self._drop(holder, record_id, lock)
                holder.connection.deliver(Frame(encode(_unlocked(record_id, lock))))
                await self._release(holder.hub, record_id, [lock])

    async def _lose(self, connection: Connected, record_id: UUID, lock: Lock) -> None:
        await self.free(connection, record_id, lock.field)
        connection.deliver(Frame(encode(_unlocked(record_id, lock))))

    def _drop(self, holder: Holder, record_id: UUID, lock: Lock) -> None:
        holder.locks.pop((record_id, lock.field), None)
        if not holder.locks:
            self._holders.pop(holder.connection.id, None)

    async def _release(self, hub: Hub, record_id: UUID, gone: Sequence[Lock]) -> None:
        """Ends leases, and then tells of it. One that cannot be ended lapses, also for those who were shown it."""
        if await self._let_go(hub.tenant_id, record_id, gone):
            for lock in gone:
                self._end(hub, record_id, lock)
                await hub.link.tell(Freed(self._node, _name(record_id), lock))

    def _forget(self) -> None:
        now = time.monotonic()
        for (_, record_id), (hub, board) in list(self._boards.items()):
            for lock in board.stale(now):
                self._end(hub, record_id, lock)

    def _note(self, hub: Hub, record_id: UUID, lock: Lock) -> None:
        known = self._boards.get((hub.tenant_id, record_id))
        if known is not None and known[1].put(lock, self._good_until()):
            frame = encode(_locked(record_id, lock))
            hub.show(Shown(self._node, _name(record_id), lock.connection, lock.field, frame))

    def _end(self, hub: Hub, record_id: UUID, lock: Lock) -> None:
        known = self._boards.get((hub.tenant_id, record_id))
        if known is not None and known[1].end(lock):
            frame = encode(_unlocked(record_id, lock))
            hub.show(Shown(self._node, _name(record_id), lock.connection, lock.field, frame))

    def _good_until(self) -> float:
        return time.monotonic() + self._lease * (1 + 1 / RENEWALS_PER_LEASE)

    async def _ask(self, connection: Connected, record_id: UUID, field: str) -> int:
        token = connection.principal.token
        return await records.lock(self._bus, records.Wanted(token, record_id, field, connection.id, self._lease))

    async def _keep(self, tenant_id: UUID, held: list[tuple[UUID, Lock]]) -> None:
        with suppress(RedisError, OSError):
            await storage.put(self._redis, tenant_id, held, self._lease)

    async def _let_go(self, tenant_id: UUID, record_id: UUID, gone: Sequence[Lock]) -> bool:
        """Ends leases; whether records surely knows."""
        with suppress(RedisError, OSError):
            await storage.remove(self._redis, tenant_id, record_id, [lock.field for lock in gone])
        try:
            held = [Holding(record_id, lock.field, lock.token) for lock in gone]
            await records.unlock(self._bus, tenant_id, held)
        except AppError as error:
            await log.awarning("locks cannot be released", error=repr(error))
            return False
        return True


def _name(record_id: UUID) -> str:
    return Channel("record", record_id).name


def _locked(record_id: UUID, lock: Lock, token: int | None = None, seconds: float | None = None) -> Locked:
    return Locked(
        channel=_name(record_id), record_id=record_id, field=lock.field, user=lock.user, connection=lock.connection,
        token=token, expires_in=seconds,
    )  # fmt: skip


def _unlocked(record_id: UUID, lock: Lock) -> Unlocked:
    return Unlocked(
        channel=_name(record_id), record_id=record_id, field=lock.field, user=lock.user, connection=lock.connection
    )
