"""The composition root of realtime."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from libs.common.app import Platform, create_app, serve
from libs.common.ids import new_id
from libs.common.resilience import end, keep_running
from libs.common.revocations import Revocations
from libs.common.sealing import Seal
from libs.common.settings import of_process
from services.realtime.consumers import auth, operators, persons, pipelines, records, webhooks
from services.realtime.domain.webhooks import Schedule
from services.realtime.routes.changes import follow_changes, list_changes
from services.realtime.routes.notifications import NotificationsController
from services.realtime.routes.tickets import issue_ticket
from services.realtime.routes.webhooks import WebhooksController
from services.realtime.settings import Settings
from services.realtime.sockets.context import Context
from services.realtime.sockets.limits import Limits
from services.realtime.sockets.rates import Rates
from services.realtime.sockets.server import Sockets
from services.realtime.usecases import records as questions
from services.realtime.usecases.admission import Admission
from services.realtime.usecases.definitions import Definitions
from services.realtime.usecases.digests import Digests
from services.realtime.usecases.documents import Documents
from services.realtime.usecases.following import Following, Happened
from services.realtime.usecases.gathering import Gathering
from services.realtime.usecases.hubs import Hubs
from services.realtime.usecases.link import Voice
from services.realtime.usecases.live import Live
from services.realtime.usecases.locks import Locks
from services.realtime.usecases.metrics import LiveMetrics, WebhookMetrics
from services.realtime.usecases.noticing import Notifier
from services.realtime.usecases.notifications import Notices
from services.realtime.usecases.owners import Owners
from services.realtime.usecases.places import Places
from services.realtime.usecases.planning import Planner
from services.realtime.usecases.posting import Poster
from services.realtime.usecases.presence import Presence
from services.realtime.usecases.registry import Registry
from services.realtime.usecases.reviews import Reviews
from services.realtime.usecases.rooms import Bounds
from services.realtime.usecases.sending import AT_ONCE, Sender
from services.realtime.usecases.sending import Limits as SendingLimits
from services.realtime.usecases.texts import Texts
from services.realtime.usecases.webhooks import Hooks


def live_of(platform: Platform, settings: Settings) -> Live:
    """What the sockets stand on."""
    node = str(new_id())
    metrics = LiveMetrics(platform.metrics.registry)
    definitions = Definitions(platform.database, platform.bus)
    locks = Locks(platform.bus, platform.redis, node, settings.lock_lease_seconds)
    presence = Presence(platform.redis, node, settings.presence_lease_seconds, settings.presence_members, locks)
    return Live(
        node=node,
        bus=platform.bus,
        redis=platform.redis,
        definitions=definitions,
        places=Places(platform.redis),
        states=Gathering(partial(questions.states, platform.bus)),
        looks=Gathering(partial(questions.look_all, platform.bus)),
        hubs=Hubs(node, platform.bus, definitions, metrics, presence.hear),
        presence=presence,
        locks=locks,
        registry=Registry(
            metrics, settings.max_sockets, settings.max_sockets_per_tenant, settings.max_sockets_per_user
        ),
        metrics=metrics,
    )


@dataclass(frozen=True, slots=True)
class Outward:
    """What is made of changes beyond sockets: webhooks and notifications."""

    hooks: Hooks
    notices: Notices
    notifier: Notifier
    following: Following
    digests: Digests

    def loops(self) -> list[Coroutine[Any, Any, None]]:
        """What runs for as long as the process lives."""
        return [self.following.run(), self.hooks.sender.run(), self.digests.run()]


def hooks_of(platform: Platform, settings: Settings, live: Live, owners: Owners) -> tuple[Hooks, Planner]:
    """What webhooks stand on."""
    database, at_once = platform.database, settings.webhooks_at_once
    planner = Planner(database, live.definitions, owners)
    poster = Poster(
        settings.dns_servers, local=settings.webhook_local, concurrency=max(1, at_once) * AT_ONCE,
        seconds=settings.webhook_seconds, connect_seconds=settings.webhook_connect_seconds,
    )  # fmt: skip
    seal = Seal(settings.sealing_secret, "webhook secrets", "SEALING_SECRET")
    sender = Sender(
        platform.bus, database, live.definitions, owners, planner, poster, seal,
        Schedule.of(settings.webhook_retry_seconds, settings.webhook_failing_days),
        SendingLimits(at_once, settings.webhooks_at_once_per_tenant, settings.webhook_seconds),
        WebhookMetrics(platform.metrics.registry),
    )  # fmt: skip
    return Hooks(platform.bus, database, live.definitions, poster, sender, seal, settings.webhook_local), planner


def outward(platform: Platform, settings: Settings, live: Live, texts: Texts) -> Outward:
    """What goes out, and what follows the changes for it."""
    bus, database = platform.bus, platform.database
    owners = Owners(bus, database, platform.roles)
    hooks, planner = hooks_of(platform, settings, live, owners)
    unsubscribing = Seal(settings.sealing_secret, "unsubscribing", "SEALING_SECRET")
    notifier = Notifier(database, live.definitions, owners, Voice(bus), unsubscribing.digest)

    async def send(tenant_id: UUID, batch: Sequence[Happened]) -> None:
        if await planner.take(tenant_id, batch):
            hooks.sender.wake()

    return Outward(
        hooks,
        Notices(bus, database, live.definitions, unsubscribing.digests),
        notifier,
        Following(bus, database, [send, notifier.take, texts.take]),
        Digests(database, unsubscribing.digest, settings.digest_poll_seconds),
    )


def build(settings: Settings) -> Sockets:
    """The service as an ASGI application, not yet started."""
    platform = Platform("realtime", settings)
    live = live_of(platform, settings)
    bounds = Bounds(
        settings.max_document_bytes, settings.max_document_clients, settings.document_text_seconds,
        settings.document_text_latest_seconds,
    )  # fmt: skip
    texts = Texts(platform.bus, platform.database, bounds)
    shared = Documents(platform.bus, platform.database, bounds)
    out = outward(platform, settings, live, texts)
    revocations = Revocations(auth.on_revoked(live.registry, lambda principal: revocations.covers(principal)))
    admission = Admission(platform.database, platform.bus)
    reviews = Reviews(live, platform.roles)
    loops: list[asyncio.Task[None]] = []

    async def start() -> None:
        pipelines.follow(live, platform.bus, platform.database)
        auth.follow(platform.roles, reviews)
        auth.follow_tenants(platform.bus, live.registry, admission)
        auth.follow_settings(live, platform.bus, platform.database)
        persons.serve(platform.bus, platform.database)
        operators.serve(platform.bus, platform.database, settings.sealing_secret)
        auth.follow_people(platform.bus, platform.database)
        pipelines.follow_views(platform.bus, platform.database)
        records.follow_jobs(platform.bus, live.hubs)
        records.forget_buried(platform.bus, platform.database)
        webhooks.follow(platform.bus, platform.database, out.notifier)
        heeding = keep_running("revocations", lambda: revocations.follow(platform.bus), cap=1.0)
        loops.extend(
            asyncio.create_task(loop)
            for loop in (*out.loops(), texts.run(), live.presence.run(), live.locks.run(), heeding)
        )

    async def stop() -> None:
        await end(loops)
        await shared.stop()
        await live.presence.stop()
        await live.locks.stop()
        await live.states.stop()
        await live.looks.stop()
        await live.hubs.stop()

    app = create_app(
        platform,
        [issue_ticket, list_changes, follow_changes, WebhooksController, NotificationsController],
        dependencies={
            "live": live,
            "hooks": out.hooks,
            "notices": out.notices,
            "ticket_seconds": settings.ticket_seconds,
        },
        on_start=[start],
        on_stop=[stop],
    )
    limits = Limits(**{name: getattr(settings, name) for name in Limits.__struct_fields__})
    return Sockets(app, Context(live, limits, Rates(limits), platform.authenticate, revocations, admission, shared))


def main() -> None:
    """Runs the service."""
    settings = of_process(Settings, "realtime")
    app = build(settings)
    largest = max(settings.max_frame_bytes, settings.max_update_bytes)
    serve(
        app, settings, farewell=app.dismiss, ws_max_size=largest, ws_per_message_deflate=False,
        ws_ping_interval=settings.ping_seconds, ws_ping_timeout=settings.ping_seconds,
    )  # fmt: skip


if __name__ == "__main__":
    main()
