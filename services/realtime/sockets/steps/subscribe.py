from services.realtime.domain.channels import parse
from services.realtime.domain.messages import Unsubscribed
from services.realtime.sockets.connection import Connection
from services.realtime.sockets.context import Context
from services.realtime.sockets.frames import Subscribe, Unsubscribe
from services.realtime.usecases import subscriptions


async def subscribe(context: Context, connection: Connection, frame: Subscribe) -> None:
    """Subscribes to a channel."""
    channel, most = parse(frame.channel), context.limits.max_subscriptions
    context.rates.join(connection.principal)
    wanted = frame.group_by is not None or frame.metrics is not None
    counting = (frame.group_by, frame.metrics or "count") if wanted else None
    await subscriptions.subscribe(context.live, connection, channel, frame.filter, frame.from_seq, most, counting)


async def unsubscribe(context: Context, connection: Connection, frame: Unsubscribe) -> None:
    """Leaves a channel, also one that was never joined."""
    name = parse(frame.channel).name
    if subscription := connection.subscriptions.get(name):
        subscriptions.leave(context.live, connection, subscription)
    connection.tell(Unsubscribed(channel=name))
