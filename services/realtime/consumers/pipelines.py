from functools import partial

from libs.common import events
from libs.common.bus import Bus, Consumer
from libs.common.filters.renaming import renamed_condition
from libs.common.postgres import Connection, Database
from services.realtime.domain.definitions import Definition
from services.realtime.storage import definitions, notifications, webhooks
from services.realtime.usecases.live import Live
from services.realtime.usecases.notifications import View
from services.realtime.usecases.subscriptions import follow_renames, pipeline_changed

SUBJECT = "evt.*.pipelines.pipeline.*"
VIEWS = "evt.*.pipelines.view.*"


def follow(live: Live, bus: Bus, database: Database) -> None:
    """Keeps definitions: durably in the table, at once in memory, where open subscriptions are judged by them."""

    async def hear(payload: bytes) -> None:
        event = events.decode(payload, Definition)
        if live.definitions.remember(event.tenant_id, event.data):
            await pipeline_changed(live, event.tenant_id, event.data.id)

    bus.consume(Consumer("realtime-pipelines", SUBJECT, Definition, keep_definition), database)
    live.definitions.on_change(partial(follow_renames, live))
    bus.listen(SUBJECT, hear)


async def keep_definition(connection: Connection, event: events.Event[Definition]) -> None:
    """Keeps a definition; the filters of webhooks name its fields as they are called now."""
    tenant_id, definition = event.tenant_id, event.data
    before = await definitions.get(connection, tenant_id, definition.id)
    if not await definitions.put(connection, tenant_id, definition):
        return
    for renames in definition.renames_since(before):
        for webhook_id, tree in (await webhooks.hold_filters(connection, tenant_id, definition.id)).items():
            if (now := renamed_condition(tree, renames)) != tree:
                await webhooks.put_filter(connection, tenant_id, webhook_id, now)


def follow_views(bus: Bus, database: Database) -> None:
    """Keeps the filters of views that people follow."""
    bus.consume(Consumer("realtime-views", VIEWS, View, keep_view), database)


async def keep_view(connection: Connection, event: events.Event[View]) -> None:
    """Keeps how a view filters; nobody follows one that they do not see (any more)."""
    tenant_id, view = event.tenant_id, event.data
    if view.deleted or event.type.endswith(".deleted"):
        await notifications.end_view(connection, tenant_id, view.id, None)
        return
    if view.visibility == "private":
        await notifications.end_view(connection, tenant_id, view.id, view.owner_id)
    await notifications.change_view(connection, tenant_id, view.id, view.name, view.filter)
