"""Durable consumers: each event has its effect once, in the order of the stream, however often it is delivered."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
import nats.errors
import structlog
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from opentelemetry.trace import SpanKind

from libs.common import events, tracing
from libs.common.errors import Unavailable
from libs.common.postgres import Connection, Database

T = TypeVar("T")
log = structlog.get_logger()

MAX_ATTEMPTS = 20
# What a killed consumer or broker held is delivered again after this. An effect that takes longer stays single: the
# second delivery waits at the inbox.
ACK_SECONDS = 5.0
_INBOX = """
insert into inbox (tenant_id, consumer, event_id)
select $1, $2, $3 where not exists (select from purges where id = $1)
on conflict do nothing returning true
"""
_PRUNE = "delete from inbox where tenant_id = $1 and handled_at < now() - make_interval(secs => $2)"
PRUNE_EVERY = 50


@dataclass(frozen=True, slots=True)
class Consumer(Generic[T]):
    """A durable consumer: which events, the Struct of what it reads of them, and the effect.

    `handle` runs in a transaction of the event's tenant, in which the event's id is noted, so that a second delivery
    has no second effect; events of a tenant that is gone have none at all. One that is not `noted` handles those as
    well, leaves no note, and so has to bear a second delivery.
    """

    name: str
    subject: str
    data: type[T]
    handle: Callable[[Connection, events.Event[T]], Awaitable[None]]
    noted: bool = True


async def consume(
    jetstream: JetStreamContext, consumer: Consumer[Any], database: Database, exporter: tracing.Exporter | None
) -> None:
    """Handles the events of a consumer, one after another, until it is cancelled or the broker is away."""
    config = ConsumerConfig(
        durable_name=consumer.name, filter_subject=consumer.subject, ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ACK_SECONDS, max_ack_pending=1, deliver_policy=DeliverPolicy.ALL,
        inactive_threshold=events.MAX_AGE_SECONDS,
    )  # fmt: skip
    subscription = await jetstream.pull_subscribe(
        consumer.subject, durable=consumer.name, stream=events.STREAM, config=config
    )
    try:
        while True:
            with suppress(nats.errors.TimeoutError):
                for message in await subscription.fetch(1, timeout=5):
                    await _handle(message, consumer, database, exporter)
    finally:
        with suppress(nats.errors.Error, OSError):
            await subscription.unsubscribe()


async def _handle(message: Msg, consumer: Consumer[Any], database: Database, exporter: tracing.Exporter | None) -> None:
    header = (message.headers or {}).get("traceparent")
    with tracing.span(exporter, f"consume {consumer.name}", header, SpanKind.CONSUMER):
        await _handle_within(message, consumer, database)


async def _handle_within(message: Msg, consumer: Consumer[Any], database: Database) -> None:
    try:
        event = events.decode(message.data, consumer.data, message.metadata.sequence.stream)
    except msgspec.DecodeError as error:
        await log.aerror("event not readable", consumer=consumer.name, subject=message.subject, error=repr(error))
        await message.term()
        return
    try:
        async with database.tenant(event.tenant_id) as connection:
            if not consumer.noted or await connection.fetchval(_INBOX, event.tenant_id, consumer.name, event.id):
                await consumer.handle(connection, event)
            if event.seq % PRUNE_EVERY == 0:
                # The stream keeps nothing as old, so it cannot come again.
                await connection.execute(_PRUNE, event.tenant_id, 2 * events.MAX_AGE_SECONDS)
        await message.ack()
    except asyncio.CancelledError:
        # Who comes next shall not wait until the acknowledgement is overdue.
        with suppress(nats.errors.Error):
            await message.nak()
        raise
    except Unavailable:
        await message.nak(delay=0.5)
    except Exception as error:
        attempts = message.metadata.num_delivered
        await log.aerror("event not handled", consumer=consumer.name, attempts=attempts, error=repr(error))
        await (message.term() if attempts >= MAX_ATTEMPTS else message.nak(delay=min(30.0, 0.1 * 2**attempts)))
