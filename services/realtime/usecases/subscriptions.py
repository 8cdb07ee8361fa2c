"""Subscribing, leaving, and looking again at what was allowed."""

from uuid import UUID

import msgspec

from libs.common.errors import AppError, Forbidden, Gone, Invalid, NotFound, RateLimited
from services.realtime.domain.changes import state
from services.realtime.domain.channels import Channel
from services.realtime.domain.definitions import Definition
from services.realtime.domain.messages import Frame, Present, ResyncRequired, Subscribed, encode
from services.realtime.domain.sight import compile_sight
from services.realtime.usecases import fitting, records, replay
from services.realtime.usecases.groups import READ, RECORDS
from services.realtime.usecases.hub import Hub
from services.realtime.usecases.live import Live
from services.realtime.usecases.registry import Connected
from services.realtime.usecases.subscribers import Counted, Subscriber, Subscription

Counting = tuple[str | None, str]
"""By which fields, with commas, and which metrics."""


async def subscribe(
    live: Live, connection: Connected, channel: Channel, tree: object, after: int | None, most: int,
    counting: Counting | None = None,
) -> None:  # fmt: skip
    """Subscribes a connection to a channel, instead of what it had there; raises what keeps it from it."""
    if channel.name not in connection.subscriptions and len(connection.subscriptions) >= most:
        raise RateLimited(f"A socket has at most {most} subscriptions", code="too-many-subscriptions")
    pipeline_id = await _pipeline(live, connection, channel, again=after is not None)
    counted = _counted(channel, pipeline_id, tree, counting)
    subscription = Subscription(connection, channel, pipeline_id, tree, counted)
    await _check(live, subscription, new=True)
    with live.hubs.opened(connection.principal.tenant_id) as hub:
        await hub.begun()
        try:
            if after is not None:
                await replay.check(live.bus, hub, after)
            await _enter(live, hub, connection, subscription, after)
        except Gone:
            leave(live, connection, connection.subscriptions.get(channel.name, subscription))
            connection.deliver(_frame(ResyncRequired(channel=channel.name, seq=hub.position)))
        except BaseException:
            leave(live, connection, connection.subscriptions.get(channel.name, subscription))
            raise


def _counted(channel: Channel, pipeline_id: UUID | None, tree: object, counting: Counting | None) -> Counted | None:
    if counting is None:
        return None
    if channel.kind != "pipeline" or pipeline_id is None:
        raise Invalid("Only the channel of a pipeline has groups", code="groups-not-taken")
    group_by, metrics = counting
    return Counted(pipeline_id, msgspec.json.encode(tree) if tree else b"", group_by, metrics)


async def _enter(live: Live, hub: Hub, connection: Connected, subscription: Subscription, after: int | None) -> None:
    name = subscription.channel.name
    if subscription.counted is not None:
        await hub.count(subscription)
    present = await _present(live, hub, subscription)
    await _check(live, subscription)  # The definition may have changed meanwhile; from here on it is followed.
    begin = hub.position if after is None else after
    if (earlier := connection.subscriptions.get(name)) is not None:
        hub.detach(earlier)
    connection.subscriptions[name] = subscription
    connection.deliver(_frame(Subscribed(channel=name, seq=begin, presence=present)))
    await replay.join(hub, subscription, begin)
    await live.locks.greet(hub, subscription)
    if subscription.counted is not None:
        hub.show_counts(subscription)


async def _present(live: Live, hub: Hub, subscription: Subscription) -> list[Present]:
    if subscription.channel.kind == "user":
        return []
    if subscription.channel.kind == "record" and subscription.channel.id is not None:
        await live.locks.watch(hub, subscription.channel.id)
    return await live.presence.join(hub, subscription)


def leave(live: Live, connection: Connected, subscription: Subscription) -> None:
    """Ends a subscription, wherever it stands."""
    connection.subscriptions.pop(subscription.channel.name, None)
    hub = live.hubs.get(subscription.subscriber.principal.tenant_id)
    if hub is not None:
        live.presence.leave(hub, subscription)
        live.hubs.detach(subscription)
        live.locks.leave(subscription)


def regroup(live: Live, connection: Connected) -> None:
    """Has what comes from now on judged by a connection's present permissions."""
    hub = live.hubs.get(connection.principal.tenant_id)
    for subscription in list(connection.subscriptions.values()):
        if hub is not None and subscription.live:
            hub.regroup(subscription)


async def reconsider(live: Live, connection: Connected) -> None:
    """Ends the subscriptions and locks that a connection's present permissions do not allow."""
    for subscription in list(connection.subscriptions.values()):
        try:
            await _pipeline(live, connection, subscription.channel, again=True)
            await _check(live, subscription)
        except (Forbidden, NotFound, Invalid) as error:
            _end(live, connection, subscription, error)
    await live.locks.review(connection)
    await connection.reviewed()


async def pipeline_changed(live: Live, tenant_id: UUID, pipeline_id: UUID) -> None:
    """Ends what is subscribed of a pipeline that went to the trash, and filters that no longer fit it."""
    for connection in live.registry.of(tenant_id):
        for subscription in list(connection.subscriptions.values()):
            if subscription.pipeline_id == pipeline_id:
                await _fit(live, connection, subscription)


def follow_renames(live: Live, tenant_id: UUID, before: Definition, now: Definition) -> None:
    """Lets what is subscribed of a pipeline go on where its fields are called otherwise, from this moment on."""
    hub, steps = live.hubs.get(tenant_id), now.renames_since(before)
    if hub is None or not steps:
        return
    for connection in live.registry.of(tenant_id):
        for subscription in list(connection.subscriptions.values()):
            if subscription.pipeline_id == now.id and (subscription.tree or subscription.counted):
                for renames in steps:
                    hub.rename(subscription, renames)


async def _fit(live: Live, connection: Connected, subscription: Subscription) -> None:
    try:
        if subscription.channel.kind == "pipeline":
            await _pipeline(live, connection, subscription.channel)
        await _check(live, subscription)
    except (Forbidden, NotFound, Invalid) as error:
        _end(live, connection, subscription, error)


def _end(live: Live, connection: Connected, subscription: Subscription, error: AppError) -> None:
    leave(live, connection, subscription)
    connection.ended(subscription, error)


async def _pipeline(live: Live, subscriber: Subscriber, channel: Channel, *, again: bool = False) -> UUID | None:
    """The pipeline of a channel, where the subscriber may read in it; `again` is whether it was told so before."""
    permissions, tenant_id = subscriber.permissions, subscriber.principal.tenant_id
    if channel.kind == "record":
        assert channel.id is not None
        return await _place(live, subscriber, channel.id, again)
    if channel.kind == "pipeline":
        assert channel.id is not None
        permissions.require(READ, RECORDS, channel.id)
        if (await live.definitions.get(tenant_id, channel.id)).deleted:
            raise NotFound
        return channel.id
    if channel.kind == "tenant" and not any(
        grant.covers(READ, RECORDS, grant.pipeline_id) for grant in permissions.grants
    ):
        permissions.require(READ, RECORDS)
    return None


async def _place(live: Live, subscriber: Subscriber, record_id: UUID, again: bool) -> UUID:
    """The pipeline of a record that the subscriber may see.

    Whoever comes back, and sees every record of the pipeline whatever is in it, is not asked about: that it went to the
    trash meanwhile is among what is told of the break. Where a row rule decides it is judged here, of what is asked for
    all who come at the moment; records has the last word before anybody is turned away.
    """
    principal, permissions = subscriber.principal, subscriber.permissions
    if again and (known := await live.places.find(principal.tenant_id, record_id)) is not None:
        definition = await live.definitions.get_or_bare(principal.tenant_id, known)
        if not definition.deleted and await _sees(live, subscriber, definition, record_id):
            return known
    found = await records.find(live.bus, principal.token, record_id)
    permissions.require(READ, RECORDS, found.pipeline_id)
    await live.definitions.get_or_bare(principal.tenant_id, found.pipeline_id)
    await live.places.keep(principal.tenant_id, record_id, found.pipeline_id)
    return found.pipeline_id


async def _sees(live: Live, subscriber: Subscriber, definition: Definition, record_id: UUID) -> bool:
    """Whether a subscriber surely sees a record of a pipeline."""
    principal = subscriber.principal
    grants = subscriber.permissions.alternatives(READ, RECORDS, definition.id)
    if any(grant.row_rule is None for grant in grants):
        return True
    sight = compile_sight(grants, definition, str(principal.id))
    if sight.asks:
        return await live.looks.find(principal.token, record_id) is not None
    if sight.readable() == frozenset():
        return False
    found = await live.states.find(principal.tenant_id, record_id)
    return found is not None and sight.of(state(found)) is not None


async def _check(live: Live, subscription: Subscription, *, new: bool = False) -> None:
    """Raises Invalid where the filter is not one of the channel's pipeline."""
    if not subscription.tree:
        return
    if subscription.pipeline_id is None:
        raise Invalid("Only the channel of a pipeline or record takes a filter", code="filter-not-taken")
    principal = subscription.subscriber.principal
    definition = await live.definitions.get(principal.tenant_id, subscription.pipeline_id)
    permissions = subscription.subscriber.permissions
    if new:
        await fitting.require(live.definitions, subscription.tree, definition, principal, permissions)
    else:
        fitting.check(subscription.tree, definition, principal, permissions)


def _frame(message: Subscribed | ResyncRequired) -> Frame:
    return Frame(encode(message))
