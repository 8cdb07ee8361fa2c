"""One socket: whose it is, what it is subscribed to, and its way out."""

import asyncio
import random
import time
from collections import OrderedDict

from litestar.types import Send

from libs.common.errors import AppError
from libs.common.identity import Principal
from libs.common.ids import new_id
from libs.common.permissions import Permissions
from services.realtime.domain.messages import Failed, Frame, Message, Reconnect, ResyncRequired, encode, failed
from services.realtime.sockets.bucket import Bucket
from services.realtime.sockets.limits import Limits
from services.realtime.sockets.outlet import Outlet
from services.realtime.usecases.metrics import LiveMetrics
from services.realtime.usecases.subscribers import Subscription

UNAUTHENTICATED = 4401
SLOW_READER = 4408
TOO_MANY = 4429
GOING_AWAY = 1012
TRY_LATER = 1013
REMEMBERED_OPERATIONS = 256


class Connection:
    """A socket that was accepted, from `address`. `principal` and `permissions` are set when it authenticates."""

    __slots__ = (
        "_expiry", "_metrics", "_operations", "_outlet", "_task", "address", "bucket", "id", "limits", "permissions",
        "principal", "subscriptions",
    )  # fmt: skip

    principal: Principal
    permissions: Permissions

    def __init__(self, send: Send, limits: Limits, metrics: LiveMetrics, address: str = "") -> None:
        self.id = str(new_id())
        self.address = address
        self.limits = limits
        self.bucket = Bucket(limits.frame_rate, limits.frame_burst)
        self.subscriptions: dict[str, Subscription] = {}
        self._metrics = metrics
        self._outlet = Outlet(send, limits.queue_frames, limits.queue_bytes, self._too_slow)
        self._operations: OrderedDict[str, None] | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._task = asyncio.current_task()

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._outlet.closed

    @property
    def authenticated(self) -> bool:
        """Whether it is known whose socket it is."""
        return hasattr(self, "principal")

    def identify(self, principal: Principal, permissions: Permissions) -> None:
        """Makes it the socket of a principal, until the token expires."""
        self.principal = principal
        self.permissions = permissions
        if self._expiry is not None:
            self._expiry.cancel()
        seconds = max(0.0, principal.expires_at - time.time())
        self._expiry = asyncio.get_running_loop().call_later(seconds, self._expire)

    def grant(self, permissions: Permissions) -> None:
        """Takes new permissions."""
        self.permissions = permissions

    def deliver(self, frame: Frame) -> None:
        """Sends a frame, or queues it, and never waits."""
        self._outlet.put(frame)

    def tell(self, message: Message) -> None:
        """Sends a message of its own."""
        self._outlet.put(Frame(encode(message)))

    def fail(self, error: AppError, operation_id: str | None = None, channel: str | None = None) -> None:
        """Tells that something could not be done."""
        self._metrics.refused.labels(error.code).inc()
        self.tell(failed(error, operation_id, channel))

    async def ready(self) -> None:
        """Waits until what was queued is sent."""
        await self._outlet.flushed()

    def begin(self, operation_id: str) -> None:
        """Remembers an operation as its own."""
        if self._operations is None:
            self._operations = OrderedDict()
        self._operations[operation_id] = None
        if len(self._operations) > REMEMBERED_OPERATIONS:
            self._operations.popitem(last=False)

    def made(self, operation_id: str) -> bool:
        """Whether the connection itself asked for this operation."""
        return self._operations is not None and operation_id in self._operations

    async def reviewed(self) -> None:
        """Looks again at what is beside subscriptions, after the roles have changed; here there is nothing."""

    def ended(self, subscription: Subscription, error: AppError) -> None:
        """Tells that a subscription has ended, and why."""
        self.fail(error, channel=subscription.channel.name)

    def revoke(self, code: str, detail: str) -> None:
        """Tells that the credentials are not, or no longer, good, and closes."""
        self.close(Failed(code=code, detail=detail), UNAUTHENTICATED)

    def close(self, last: Message | None, code: int) -> None:
        """Sends a last message and closes."""
        if not self.closed:
            self._outlet.end(Frame(encode(last)) if last else None, code)

    def dismiss(self) -> None:
        """Closes because the server ends, with a hint when to come back that spreads the rush."""
        spread = self.limits.reconnect_spread_seconds * 1000
        self.close(Reconnect(after_ms=int(random.uniform(0, spread))), GOING_AWAY)

    def release(self) -> None:
        """Gives up what still waits, after the socket has gone."""
        self._outlet.cancel()
        if self._expiry is not None:
            self._expiry.cancel()

    def _expire(self) -> None:
        self.revoke("token-expired", "The token has expired")

    def _too_slow(self) -> None:
        self._metrics.slow.inc()
        positions = [subscription.after for subscription in self.subscriptions.values()]
        self._outlet.end(Frame(encode(ResyncRequired(seq=max(positions, default=0)))), SLOW_READER, now=True)
        asyncio.get_running_loop().call_later(self.limits.slow_reader_seconds, self._abandon)

    def _abandon(self) -> None:
        if self._task is not None:
            self._task.cancel()
