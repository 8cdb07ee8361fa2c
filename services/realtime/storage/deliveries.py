"""What waits to be sent to webhooks, in order, and how it went.

Whoever adds or finishes deliveries of a webhook locks its row of `due` first, and in a statement of its own, so that
the statements after it see what others did before.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.ids import new_id
from libs.common.postgres import Connection
from services.realtime.domain.webhooks import TEST, Outcome

SQL = sql.load(__file__)


@dataclass(frozen=True, slots=True)
class New:
    """A delivery to be: which event, as what, and its text."""

    event_id: UUID
    seq: int
    kind: str
    record_id: UUID
    payload: str


class Due(msgspec.Struct, frozen=True):
    """How much waits, in how many rounds nothing succeeded, what is replayed, and who is at it."""

    pending: int
    failures: int
    replay_after: int | None
    replay_to: int | None
    lease: UUID | None


class Claimed(msgspec.Struct, frozen=True):
    """A webhook that a sender has for a while."""

    tenant_id: UUID
    webhook_id: UUID


class Ready(msgspec.Struct, frozen=True):
    """A delivery that may go now; `attempts` is how often it was tried."""

    id: UUID
    event_id: UUID
    seq: int
    kind: str
    record_id: UUID | None
    payload: str
    attempts: int


class Delivery(msgspec.Struct, frozen=True):
    """A delivery as it is told of. `next_at` is when it is tried (again)."""

    id: UUID
    event_id: UUID
    seq: int
    kind: str
    record_id: UUID | None
    state: Outcome
    attempts: int
    last_status: int | None
    next_at: datetime | None
    created_at: datetime
    finished_at: datetime | None


class Attempt(msgspec.Struct, frozen=True):
    """How one attempt went."""

    delivery_id: UUID
    number: int
    at: datetime
    status: int | None
    error: str | None
    milliseconds: int
    response: str


async def lock(connection: Connection, tenant_id: UUID, webhook_id: UUID) -> Due | None:
    """Makes others wait; None where the webhook is gone."""
    row = await connection.fetchrow(SQL["lock_due"], tenant_id, webhook_id)
    return None if row is None else Due(*row)


async def add(
    connection: Connection, tenant_id: UUID, webhook_id: UUID, new: Sequence[New], *, replayed: bool = False
) -> int:
    """Adds deliveries in order, each once, and how many were new; the webhook is locked."""
    statement = SQL["replay_deliveries" if replayed else "insert_deliveries"]
    columns = (
        [one.event_id for one in new], [new_id() for _ in new], [one.seq for one in new], [one.kind for one in new],
        [one.record_id for one in new], [one.payload for one in new],
    )  # fmt: skip
    rows = await connection.fetch(statement, tenant_id, webhook_id, *columns)
    await promote(connection, tenant_id, webhook_id, {row["record_id"] for row in rows})
    await wake(connection, tenant_id, webhook_id, len(rows))
    return len(rows)


async def add_test(connection: Connection, tenant_id: UUID, webhook_id: UUID, payload: str) -> UUID:
    """Adds a delivery of no change; the webhook is locked."""
    delivery_id = new_id()
    await connection.execute(SQL["insert_test"], tenant_id, webhook_id, new_id(), delivery_id, TEST, payload)
    await wake(connection, tenant_id, webhook_id, 1)
    return delivery_id


async def promote(connection: Connection, tenant_id: UUID, webhook_id: UUID, records: Collection[UUID]) -> None:
    """Lets the first delivery of each of these records go."""
    if records:
        await connection.execute(SQL["promote"], tenant_id, webhook_id, list(records))


async def wake(connection: Connection, tenant_id: UUID, webhook_id: UUID, more: int) -> None:
    """Has senders look."""
    await connection.execute(SQL["wake"], tenant_id, webhook_id, more)


async def claim(connection: Connection, lease: UUID, seconds: float, but: Collection[UUID]) -> Claimed | None:
    """A webhook that is due, for as long as the lease lasts."""
    row = await connection.fetchrow(SQL["claim"], lease, seconds, list(but))
    return None if row is None else Claimed(*row)


async def extend(
    connection: Connection, claimed: Claimed, lease: UUID, seconds: float
) -> tuple[int | None, int | None] | None:
    """Holds a webhook for longer, and tells what is replayed; None where another has it."""
    row = await connection.fetchrow(SQL["extend"], claimed.tenant_id, claimed.webhook_id, lease, seconds)
    return None if row is None else (row[0], row[1])


async def ready(connection: Connection, claimed: Claimed, limit: int) -> list[Ready]:
    """What may go now."""
    rows = await connection.fetch(SQL["ready"], claimed.tenant_id, claimed.webhook_id, limit)
    return [Ready(*row) for row in rows]


async def note_attempt(connection: Connection, tenant_id: UUID, it: Attempt) -> None:
    """Keeps how an attempt went."""
    values = (it.at, it.status, it.error, it.milliseconds, it.response)
    await connection.execute(SQL["insert_attempt"], tenant_id, it.delivery_id, *values)


async def finish(
    connection: Connection, tenant_id: UUID, delivery_id: UUID, state: Outcome, attempts: int, status: int | None
) -> None:
    """The delivery is not tried again."""
    await connection.execute(SQL["finish"], tenant_id, delivery_id, state, attempts, status)


async def again(
    connection: Connection, tenant_id: UUID, delivery_id: UUID, attempts: int, status: int | None, seconds: float
) -> None:
    """The delivery is tried again after some seconds."""
    await connection.execute(SQL["again"], tenant_id, delivery_id, attempts, status, seconds)


async def note_round(connection: Connection, claimed: Claimed, finished: int, failures: int) -> None:
    """How many were finished, and in how many rounds nothing succeeded."""
    await connection.execute(SQL["note_round"], claimed.tenant_id, claimed.webhook_id, finished, failures)


async def release(connection: Connection, claimed: Claimed, lease: UUID, seconds: float) -> None:
    """Lets go of a webhook, for some seconds at least."""
    await connection.execute(SQL["release"], claimed.tenant_id, claimed.webhook_id, lease, seconds)


async def rest(connection: Connection, tenant_id: UUID, webhook_id: UUID) -> None:
    """Leaves a webhook alone until it is woken."""
    await connection.execute(SQL["rest"], tenant_id, webhook_id)


async def rest_owned(connection: Connection, tenant_id: UUID, owner_id: UUID) -> None:
    """Leaves the webhooks of an owner alone that are not active."""
    await connection.execute(SQL["rest_owned"], tenant_id, owner_id)


async def begin_replay(connection: Connection, tenant_id: UUID, webhook_id: UUID, after: int, to: int) -> None:
    """Has the changes between two positions sent again."""
    await connection.execute(SQL["begin_replay"], tenant_id, webhook_id, after, to)


async def advance_replay(connection: Connection, claimed: Claimed, after: int | None, to: int | None) -> None:
    """How far the replay is; without a position it is done."""
    await connection.execute(SQL["advance_replay"], claimed.tenant_id, claimed.webhook_id, after, to)


async def page(
    connection: Connection, tenant_id: UUID, webhook_id: UUID, before: UUID | None, state: str | None, limit: int
) -> list[Delivery]:
    """A webhook's deliveries before one of them, the newest first."""
    rows = await connection.fetch(SQL["list_deliveries"], tenant_id, webhook_id, before, state, limit)
    return [Delivery(*row) for row in rows]


async def count(connection: Connection, tenant_id: UUID, webhook_id: UUID, state: str | None) -> int:
    """How many deliveries a webhook has, of one state unless that is null."""
    return int(await connection.fetchval(SQL["count_deliveries"], tenant_id, webhook_id, state))


async def get(connection: Connection, tenant_id: UUID, webhook_id: UUID, delivery_id: UUID) -> Delivery | None:
    """One delivery of a webhook."""
    row = await connection.fetchrow(SQL["get_delivery"], tenant_id, webhook_id, delivery_id)
    return None if row is None else Delivery(*row)


async def attempts(connection: Connection, tenant_id: UUID, ids: Collection[UUID]) -> list[Attempt]:
    """How often some deliveries were tried, and how it went."""
    return [Attempt(*row) for row in await connection.fetch(SQL["list_attempts"], tenant_id, list(ids))]


async def redeliver(connection: Connection, tenant_id: UUID, webhook_id: UUID, it: Delivery) -> None:
    """Sends a delivery at once; the webhook is locked."""
    await connection.execute(SQL["redeliver"], tenant_id, webhook_id, it.id)
    await wake(connection, tenant_id, webhook_id, 0 if it.state == "pending" else 1)


async def forget_finished(connection: Connection, claimed: Claimed, days: int) -> None:
    """Forgets deliveries that were finished long ago."""
    await connection.execute(SQL["forget_finished"], claimed.tenant_id, claimed.webhook_id, days)
