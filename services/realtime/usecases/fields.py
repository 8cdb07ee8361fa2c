"""Editing together: one field set through a socket, and where the others are meanwhile."""

from uuid import UUID

import msgspec

from libs.common.errors import AppError, Forbidden, Invalid, NotFound, StaleVersion
from libs.common.errors import Conflict as Taken
from services.realtime.domain.channels import Channel
from services.realtime.domain.messages import Ack, Conflict, Focused, Message, Person, Pointed, encode
from services.realtime.usecases import records
from services.realtime.usecases.link import Shown
from services.realtime.usecases.live import Live
from services.realtime.usecases.records import FieldUpdate
from services.realtime.usecases.registry import Connected
from services.realtime.usecases.subscribers import Subscription


def record_of(connection: Connected, record_id: UUID | None) -> UUID:
    """The record that a frame is about: the one it names, or the only one that the connection has open."""
    if record_id is not None:
        return record_id
    found = [one.channel.id for one in connection.subscriptions.values() if one.channel.kind == "record"]
    if len(found) != 1 or found[0] is None:
        raise Invalid("Without 'record_id' the socket must have exactly one record open", code="record-unclear")
    return found[0]


async def update(live: Live, update: FieldUpdate) -> Message:
    """Has a field stored; what the sender is told. Raises what records raises, except for a collision or a lock."""
    try:
        stored = await records.update_field(live.bus, update)
    except StaleVersion as error:
        return _conflict(update, error)
    except Taken as error:
        if error.code != "locked":
            raise
        return _conflict(update, error)
    return Ack(operation_id=update.operation_id, version=stored.version)


def _conflict(update: FieldUpdate, error: AppError) -> Conflict:
    conflicts = error.extra.get("conflicts")
    found = next((c for c in conflicts if isinstance(c, dict)), {}) if isinstance(conflicts, list) else {}
    version = error.extra.get("version")
    return Conflict(
        operation_id=update.operation_id,
        field=update.field,
        base=found.get("base"),
        current=found.get("current"),
        attempted=update.value,
        version=version if isinstance(version, int) else None,
        holder=error.extra.get("holder"),
    )


async def focus(live: Live, connection: Connected, record_id: UUID, field: str | None) -> None:
    """Tells those who may read the field that somebody is at it."""
    channel, user = _place(live, connection, record_id, field)
    message = Focused(channel=channel.name, record_id=record_id, field=field, user=user, connection=connection.id)
    await _show(live, connection, channel, field, message)


async def cursor(live: Live, connection: Connected, record_id: UUID, field: str | None, position: msgspec.Raw) -> None:
    """Tells those who may read the field where somebody's cursor is."""
    channel, user = _place(live, connection, record_id, field)
    message = Pointed(
        channel=channel.name, record_id=record_id, field=field, position=position, user=user, connection=connection.id
    )
    await _show(live, connection, channel, field, message)


async def lock(live: Live, connection: Connected, record_id: UUID, field: str) -> None:
    """Gives a field to a connection that has the record open, and tells those who may read it."""
    hub = live.hubs.get(connection.principal.tenant_id)
    if hub is None or Channel("record", record_id).name not in connection.subscriptions:
        raise NotFound("Subscribe to the record first", code="not-subscribed")
    await live.locks.seize(hub, connection, record_id, field)


def _place(live: Live, connection: Connected, record_id: UUID, field: str | None) -> tuple[Channel, Person]:
    subscription = connection.subscriptions.get(Channel("record", record_id).name)
    if subscription is None or not subscription.live:
        raise NotFound("Subscribe to the record first", code="not-subscribed")
    if field is not None and not _reads(live, subscription, field):
        raise Forbidden(f"There is no field '{field}' that you may surely read", code="field-not-readable")
    return subscription.channel, Person(connection.principal.id, connection.principal.name)


def _reads(live: Live, subscription: Subscription, field: str) -> bool:
    hub = live.hubs.get(subscription.subscriber.principal.tenant_id)
    definition = hub.known(subscription.pipeline_id) if hub and subscription.pipeline_id else None
    if hub is None or definition is None or field not in {one.name for one in definition.fields}:
        return False
    return hub.group_of(subscription).reads(field)


async def _show(live: Live, connection: Connected, channel: Channel, field: str | None, message: Message) -> None:
    hub = live.hubs.get(connection.principal.tenant_id)
    assert hub is not None
    word = Shown(live.node, channel.name, connection.id, field, encode(message))
    hub.show(word)
    await hub.link.tell(word)
