"""Revoked sessions and users, in memory, for as long as their tokens would have lived.

Fed by JetStream from one token lifetime ago on, so that a process that was away learns what it missed.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import nats.errors
import structlog
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, DeliverPolicy

from libs.common import events
from libs.common.bus import Bus
from libs.common.identity import Principal

SUBJECT = "evt.*.auth.session.revoked"
TOKEN_SECONDS = 600
SLACK_SECONDS = 30
IDLE_HEARTBEAT = 5.0
log = structlog.get_logger()


class Revoked(msgspec.Struct, frozen=True):
    """The data of `auth.session.revoked`; without a session, every token of the user issued before `not_before`."""

    session_id: UUID | None
    user_id: UUID
    not_before: float


class Revocations:
    """Which tokens are refused although their signature is good. `watch` is called with the tenant of each."""

    def __init__(self, watch: Callable[[UUID], None] | None = None, token_seconds: float = TOKEN_SECONDS) -> None:
        self._watch = watch
        self._keep = token_seconds + SLACK_SECONDS
        self._sessions: dict[tuple[UUID, UUID], float] = {}
        self._users: dict[tuple[UUID, UUID], tuple[float, float]] = {}

    def add(self, tenant_id: UUID, revoked: Revoked) -> None:
        """Notes a revocation, and forgets those that no living token can fall under."""
        now = time.time()
        self._forget(now)
        if revoked.session_id is not None:
            self._sessions[(tenant_id, revoked.session_id)] = now + self._keep
        else:
            key = (tenant_id, revoked.user_id)
            not_before = max(revoked.not_before, self._users.get(key, (0.0, 0.0))[0])
            self._users[key] = (not_before, now + self._keep)
        if self._watch is not None:
            self._watch(tenant_id)

    def covers(self, principal: Principal) -> bool:
        """Whether a principal's token was revoked, or who acts in their name is no longer signed in."""
        if self._ended(principal.tenant_id, principal.session_id, principal.id, principal.issued_at):
            return True
        actor = principal.actor
        return actor is not None and self._ended(principal.tenant_id, actor.sid, actor.sub, principal.issued_at)

    def _ended(self, tenant_id: UUID, session_id: UUID, user_id: UUID, issued_at: float) -> bool:
        if self._sessions and (tenant_id, session_id) in self._sessions:
            return True
        if self._users and (found := self._users.get((tenant_id, user_id))):
            return issued_at < found[0]
        return False

    def _forget(self, now: float) -> None:
        for session in [key for key, until in self._sessions.items() if until < now]:
            del self._sessions[session]
        for user in [key for key, (_, until) in self._users.items() if until < now]:
            del self._users[user]

    async def follow(self, bus: Bus) -> None:
        """Reads revocations until the broker is lost; run again and again, it misses none."""
        await bus.ready()
        start = datetime.fromtimestamp(time.time() - self._keep, UTC)
        config = ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_TIME, opt_start_time=start.isoformat())  # type: ignore[arg-type]
        subscription = await bus.jetstream.subscribe(
            SUBJECT, stream=events.STREAM, ordered_consumer=True, config=config, idle_heartbeat=IDLE_HEARTBEAT
        )
        try:
            while bus.connected:
                try:
                    self._note(await subscription.next_msg(timeout=IDLE_HEARTBEAT))
                except nats.errors.TimeoutError:
                    await subscription.consumer_info()
        finally:
            await subscription.unsubscribe()

    def _note(self, message: Msg) -> None:
        try:
            event = events.decode(message.data, Revoked)
        except msgspec.MsgspecError as error:
            log.error("a revocation could not be read", error=repr(error))
            return
        self.add(event.tenant_id, event.data)
