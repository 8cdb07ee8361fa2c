"""Sending deliveries: each webhook by one process at a time, so many at once, so many webhooks of a tenant at once.

A webhook that is due is claimed under a lease that is longer than a round can take. A round sends the first delivery of
some records, writes down how it went, and lets the next of these records go. A process that dies between sending and
writing leaves the lease to run out; then the same deliveries go again, with the same `webhook-id`.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from uuid import UUID

import msgspec
import structlog

from libs.common import clock
from libs.common.bus import Bus
from libs.common.errors import AppError, Invalid, NotFound
from libs.common.ids import new_id
from libs.common.postgres import Connection, Database
from libs.common.resilience import end, keep_running, woken
from libs.common.sealing import Seal
from services.realtime.domain import signatures, telling
from services.realtime.domain.changes import Actor
from services.realtime.domain.signatures import Secret
from services.realtime.domain.webhooks import (
    ENDPOINT_GONE,
    FAILING,
    GONE,
    TEST,
    Outcome,
    Schedule,
    Webhook,
    retry_after,
)
from services.realtime.storage import deliveries, stream, webhooks
from services.realtime.storage.deliveries import Attempt, Claimed, Ready
from services.realtime.usecases import endings
from services.realtime.usecases.definitions import Definitions
from services.realtime.usecases.following import happened
from services.realtime.usecases.metrics import WebhookMetrics
from services.realtime.usecases.owners import Owner, Owners
from services.realtime.usecases.planning import Planner
from services.realtime.usecases.posting import Answer, Poster

RELAY = "millrace_realtime_relay"
POLL_SECONDS = 1.0
ROUNDS = 20
AT_ONCE = 8
REPLAY_BELOW = 500
KEPT_DAYS = 14
LEASES = 3.0
USER_AGENT = "Millrace-Webhooks/1"
WITHHELD = "not-permitted"
log = structlog.get_logger()


class Change(msgspec.Struct, frozen=True):
    """What a webhook is told of a change."""

    seq: int
    record: msgspec.Raw
    changed: list[str]
    actor: Actor | None


class Message(msgspec.Struct, frozen=True):
    """The body of a message, as Standard Webhooks recommends it."""

    type: str
    timestamp: str
    data: Change


@dataclass(frozen=True, slots=True)
class Limits:
    """How many webhooks one process sends to at once, in all and of a tenant; and how long one request may take."""

    webhooks: int
    webhooks_per_tenant: int
    seconds: float


class Sender:
    """Sends what is due, for as long as the process lives."""

    def __init__(
        self, bus: Bus, database: Database, definitions: Definitions, owners: Owners, planner: Planner, poster: Poster,
        seal: Seal, schedule: Schedule, limits: Limits, metrics: WebhookMetrics,
    ) -> None:  # fmt: skip
        self._database = database
        self._definitions = definitions
        self._owners = owners
        self._planner = planner
        self._poster = poster
        self._seal = seal
        self._schedule = schedule
        self._limits = limits
        self._metrics = metrics
        self._wake = asyncio.Event()
        self._working: dict[asyncio.Task[None], UUID] = {}
        self._bus = bus

    def wake(self) -> None:
        """Looks at once for what is due."""
        self._wake.set()

    async def run(self) -> None:
        """Runs for ever; when it is cancelled, so are the requests that are under way."""
        await self._poster.start()
        try:
            await keep_running("webhooks", self._claim_and_work, cap=2.0)
        finally:
            await end(list(self._working))
            await self._poster.stop()

    async def _claim_and_work(self) -> None:
        while True:
            self._wake.clear()
            while len(self._working) < self._limits.webhooks and await self._claim():
                pass
            await woken(self._wake, POLL_SECONDS)

    async def _claim(self) -> bool:
        count = Counter(self._working.values())
        busy = [tenant_id for tenant_id, many in count.items() if many >= self._limits.webhooks_per_tenant]
        lease = new_id()
        async with self._database.relay(RELAY) as connection:
            claimed = await deliveries.claim(connection, lease, self._lease_seconds, busy)
        if claimed is None:
            return False
        task = asyncio.create_task(self._work(claimed, lease))
        self._working[task] = claimed.tenant_id
        task.add_done_callback(self._done)
        return True

    @property
    def _lease_seconds(self) -> float:
        return LEASES * self._limits.seconds

    def _done(self, task: "asyncio.Task[None]") -> None:
        del self._working[task]
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("webhook not sent", error=repr(error))

    async def _work(self, claimed: Claimed, lease: UUID) -> None:
        pause = 0.0
        for _ in range(ROUNDS):
            job = await self._job(claimed, lease)
            if job is None:
                return
            if not job.ready:
                break
            answers = await asyncio.gather(*(self._attempt(job, it) for it in job.ready))
            pause = await self._write(job, list(zip(job.ready, answers, strict=True)))
            if pause:
                break
        async with self._database.tenant(claimed.tenant_id) as connection:
            if await deliveries.lock(connection, claimed.tenant_id, claimed.webhook_id) is not None:
                await deliveries.forget_finished(connection, claimed, KEPT_DAYS)
                await deliveries.release(connection, claimed, lease, pause)

    async def _job(self, claimed: Claimed, lease: UUID) -> "Job | None":
        """What is to be sent in a round; None where the webhook is another's or not active any more."""
        async with self._database.tenant(claimed.tenant_id) as connection:
            replay = await deliveries.extend(connection, claimed, lease, self._lease_seconds)
            if replay is None:
                return None
            webhook = await webhooks.get(connection, claimed.tenant_id, claimed.webhook_id)
            if webhook is None or webhook.state != "active":
                await deliveries.rest(connection, claimed.tenant_id, claimed.webhook_id)
                return None
        owners = await self._owners.find(claimed.tenant_id, [webhook.owner_id])
        if (owner := owners.get(webhook.owner_id)) is None:
            return None  # Nobody has heard of the owner yet; it is looked at again when the lease runs out.
        if replay[0] is not None and replay[1] is not None:
            await self._replay(claimed, webhook, owner, replay[0], replay[1])
        async with self._database.tenant(claimed.tenant_id) as connection:
            ready = await deliveries.ready(connection, claimed, AT_ONCE)
        return Job(claimed, webhook, owner, ready)

    async def _replay(self, claimed: Claimed, webhook: Webhook, owner: Owner, after: int, to: int) -> None:
        """Plans a stretch of what is replayed, unless enough waits already."""
        stored = await stream.read_to(self._bus, claimed.tenant_id, after, to)
        batch = [it for one in stored if one.seq <= to and (it := happened(one.seq, one.payload)) is not None]
        new = await self._planner.wanted(claimed.tenant_id, webhook, owner, batch)
        last = stored[-1].seq if stored else to
        async with self._database.tenant(claimed.tenant_id) as connection:
            due = await deliveries.lock(connection, claimed.tenant_id, claimed.webhook_id)
            if due is None or due.pending > REPLAY_BELOW or due.replay_after != after:
                return
            await deliveries.add(connection, claimed.tenant_id, claimed.webhook_id, new, replayed=True)
            more = last < to
            await deliveries.advance_replay(connection, claimed, last if more else None, to if more else None)

    async def _attempt(self, job: "Job", it: Ready) -> Answer:
        """Sends one delivery; whatever goes wrong is an attempt that failed, so that no other waits for it."""
        try:
            return await self._post(job, it)
        except AppError as error:
            return Answer(None, error.code, 0)
        except Exception as error:
            await log.aerror("a delivery could not be made", delivery=str(it.id), error=repr(error))
            return Answer(None, "internal", 0)

    async def _post(self, job: "Job", it: Ready) -> Answer:
        body = await self._body(job, it)
        if body is None:
            return Answer(None, WITHHELD, 0)
        now = clock.now()
        secrets = msgspec.json.decode(self._open(job.webhook), type=tuple[Secret, ...])
        signed = signatures.headers(str(it.event_id), now, body, signatures.valid(secrets, now))
        headers = {**signed, "content-type": "application/json", "user-agent": USER_AGENT}
        answer = await self._poster.post(job.webhook.url, headers, body)
        self._metrics.sent(answer.succeeded, answer.milliseconds / 1000)
        return answer

    def _open(self, webhook: Webhook) -> bytes:
        return self._seal.open(webhook.secrets, webhook.id.bytes)

    async def _body(self, job: "Job", it: Ready) -> bytes | None:
        """The message as the owner may see it now; None where that is nothing any more."""
        if it.kind == TEST:
            return it.payload.encode()
        found = happened(it.seq, it.payload.encode())
        if found is None:
            return None
        change, tenant_id = found.change, job.claimed.tenant_id
        definition = await self._definitions.get_or_bare(tenant_id, change.head.pipeline_id)
        try:
            verdict = job.owner.judge(change, definition, job.owner.where(job.webhook.filter, definition))
        except (Invalid, NotFound):
            return None
        if verdict is None:
            return None
        sight = job.owner.sight(definition)
        record, changed = telling.record(change, verdict, sight), telling.changed(change, verdict)
        return msgspec.json.encode(Message(it.kind, change.time, Change(change.seq, record, changed, change.actor)))

    async def _write(self, job: "Job", results: list[tuple[Ready, Answer]]) -> float:
        """Writes down how a round went; seconds for which the webhook is left alone."""
        claimed, now = job.claimed, clock.now()
        succeeded = any(answer.succeeded for _, answer in results)
        tried = [answer for _, answer in results if answer.error != WITHHELD]
        async with self._database.tenant(claimed.tenant_id) as connection:
            due = await deliveries.lock(connection, claimed.tenant_id, claimed.webhook_id)
            if due is None:
                return 0.0
            finished = [it for it, answer in results if await self._result(connection, claimed, it, answer)]
            records = {it.record_id for it in finished if it.record_id is not None}
            await deliveries.promote(connection, claimed.tenant_id, claimed.webhook_id, records)
            failures = due.failures if not tried else 0 if succeeded else due.failures + 1
            await deliveries.note_round(connection, claimed, len(finished), failures)
            since = None if succeeded else job.webhook.failing_since or (now if tried else None)
            if since != job.webhook.failing_since:
                await webhooks.note_failing(connection, claimed.tenant_id, claimed.webhook_id, since)
            if any(answer.status == GONE for _, answer in results):
                await endings.end(connection, claimed.tenant_id, claimed.webhook_id, ENDPOINT_GONE)
            elif self._schedule.over(since, now):
                await endings.end(connection, claimed.tenant_id, claimed.webhook_id, FAILING)
            return self._schedule.pause(failures) if tried and not succeeded else 0.0

    async def _result(self, connection: Connection, claimed: Claimed, it: Ready, answer: Answer) -> bool:
        """Writes down an attempt; whether the delivery is finished."""
        attempt = Attempt(it.id, 0, clock.now(), answer.status, answer.error, answer.milliseconds, answer.response)
        await deliveries.note_attempt(connection, claimed.tenant_id, attempt)
        attempts = it.attempts + 1
        wait = retry_after(answer.retry_after, clock.now())
        delay = self._schedule.delay(attempts, wait)
        outcome: Outcome = "failed"
        if answer.succeeded:
            outcome = "succeeded"
        elif answer.error == WITHHELD:
            outcome = "withheld"
        elif answer.status != GONE and delay is not None:
            await deliveries.again(connection, claimed.tenant_id, it.id, attempts, answer.status, delay)
            return False
        await deliveries.finish(connection, claimed.tenant_id, it.id, outcome, attempts, answer.status)
        return True


@dataclass(frozen=True, slots=True)
class Job:
    """A round: the webhook, its owner, and what may go now."""

    claimed: Claimed
    webhook: Webhook
    owner: Owner
    ready: list[Ready]
