"""The composition root of realtime."""

import asyncio

from libs.common import logging
from libs.common.app import Platform, create_app, serve
from libs.common.ids import new_id
from libs.common.resilience import end, keep_running
from libs.common.revocations import Revocations
from libs.common.settings import load
from services.realtime.consumers import auth, pipelines
from services.realtime.routes.changes import list_changes
from services.realtime.routes.tickets import issue_ticket
from services.realtime.settings import Settings
from services.realtime.sockets.context import Context
from services.realtime.sockets.limits import Limits
from services.realtime.sockets.server import Sockets
from services.realtime.usecases.definitions import Definitions
from services.realtime.usecases.hubs import Hubs
from services.realtime.usecases.live import Live
from services.realtime.usecases.metrics import LiveMetrics
from services.realtime.usecases.presence import Presence
from services.realtime.usecases.registry import Registry
from services.realtime.usecases.reviews import Reviews


def live_of(platform: Platform, settings: Settings) -> Live:
    """What the sockets stand on."""
    node = str(new_id())
    metrics = LiveMetrics(platform.metrics.registry)
    definitions = Definitions(platform.database, platform.bus)
    presence = Presence(platform.redis, node, settings.presence_lease_seconds, settings.presence_members)
    return Live(
        node=node,
        bus=platform.bus,
        redis=platform.redis,
        definitions=definitions,
        hubs=Hubs(node, platform.bus, definitions, metrics, presence.hear),
        presence=presence,
        registry=Registry(
            metrics, settings.max_sockets, settings.max_sockets_per_tenant, settings.max_sockets_per_user
        ),
        metrics=metrics,
    )


def build(settings: Settings) -> Sockets:
    """The service as an ASGI application, not yet started."""
    platform = Platform("realtime", settings)
    live = live_of(platform, settings)
    revocations = Revocations(auth.on_revoked(live.registry, lambda principal: revocations.covers(principal)))
    reviews = Reviews(live, platform.roles)
    loops: list[asyncio.Task[None]] = []

    async def follow_revocations() -> None:
        await revocations.follow(platform.bus)

    async def start() -> None:
        pipelines.follow(live, platform.bus, platform.database)
        auth.follow(platform.roles, reviews)
        loops.append(asyncio.create_task(live.presence.run()))
        loops.append(
            asyncio.create_task(keep_running("revocations", lambda: revocations.follow(platform.bus), cap=1.0))
        )

    async def stop() -> None:
        await end(loops)
        await live.presence.stop()
        await live.hubs.stop()

    app = create_app(
        platform,
        [issue_ticket, list_changes],
        dependencies={"live": live, "ticket_seconds": settings.ticket_seconds},
        on_start=[start],
        on_stop=[stop],
    )
    limits = Limits(**{name: getattr(settings, name) for name in Limits.__struct_fields__})
    return Sockets(app, Context(live, limits, platform.authenticate, revocations))


def main() -> None:
    """Runs the service."""
    settings = load(Settings)
    logging.configure("realtime", settings.log_level)
    app = build(settings)
    serve(
        app, settings, farewell=app.dismiss, ws_max_size=settings.max_frame_bytes, ws_per_message_deflate=False,
        ws_ping_interval=settings.ping_seconds, ws_ping_timeout=settings.ping_seconds,
    )  # fmt: skip


if __name__ == "__main__":
    main()
