"""Catching up: from a subscriber's position to the present, without a gap and without a duplicate."""

from libs.common.bus import Bus
from libs.common.errors import Gone
from services.realtime.domain.changes import Change
from services.realtime.storage import stream
from services.realtime.usecases.groups import Group
from services.realtime.usecases.hub import Hub
from services.realtime.usecases.subscribers import Subscription


async def join(hub: Hub, subscription: Subscription, after: int) -> None:
    """Tells a subscription of what came after a position, and attaches it; raises Gone like `check`.

    The last step, from the recent changes that memory holds to being attached, has no await in it.
    """
    group, epoch = hub.group_of(subscription), hub.epoch
    while True:
        after = await _from_stream(hub, group, subscription, after)
        await subscription.subscriber.ready()
        missed = hub.missed(subscription.channel.name, after)
        unknown = [change for change in missed if hub.known(change.head.pipeline_id) is None]
        for change in unknown:
            await hub.definitions.get_or_bare(hub.tenant_id, change.head.pipeline_id)
        if hub.epoch != epoch or subscription.ended:
            raise too_old()
        if not unknown and after >= hub.floor:
            break
    for change in missed:
        _tell(group, subscription, change)
    subscription.after = max(after, hub.position)
    hub.attach(subscription)


async def check(bus: Bus, hub: Hub, after: int) -> None:
    """Raises Gone where the stream does not keep all that came after a position."""
    if after > hub.position and after > bus.position and await stream.ends_before(bus, after):
        raise Gone("The position is not one of this stream", code="position-unknown")
    if after >= hub.floor:
        return
    if hub.proof is None:
        first = (await stream.bounds(bus)).first
    elif after < hub.proof:
        first = (await hub.page(after, hub.proof)).first
    else:
        return
    if after + 1 < first:
        raise too_old()


async def _from_stream(hub: Hub, group: Group, subscription: Subscription, after: int) -> int:
    while after < hub.floor:
        if hub.proof is None:
            raise too_old()
        if after >= hub.proof:
            return hub.floor
        page = await hub.page(after, hub.proof)
        if after + 1 < page.first:
            raise too_old()
        for change in page.told(subscription.channel.name, after):
            await hub.definitions.get_or_bare(hub.tenant_id, change.head.pipeline_id)
            _tell(group, subscription, change)
            hub.metrics.replayed.inc()
        after = page.end
        await group.asked()
        await subscription.subscriber.ready()
    return after


def _tell(group: Group, subscription: Subscription, change: Change) -> None:
    for frame, members in group.tell(change, subscription):
        for one in members:
            one.subscriber.deliver(frame)


def too_old() -> Gone:
    """The error for a position whose successors the stream no longer keeps."""
    return Gone("What happened since that position is no longer kept; read anew", code="position-too-old")
