from libs.common import events
from libs.common.bus import Bus, Consumer
from libs.common.postgres import Connection, Database
from services.realtime.domain.definitions import Definition
from services.realtime.storage import definitions
from services.realtime.usecases.live import Live
from services.realtime.usecases.subscriptions import pipeline_changed

SUBJECT = "evt.*.pipelines.pipeline.*"


def follow(live: Live, bus: Bus, database: Database) -> None:
    """Keeps definitions: durably in the table, at once in memory, where open subscriptions are judged by them."""

    async def store(connection: Connection, event: events.Event[Definition]) -> None:
        await definitions.put(connection, event.tenant_id, event.data)

    async def hear(payload: bytes) -> None:
        event = events.decode(payload, Definition)
        if live.definitions.remember(event.tenant_id, event.data):
            await pipeline_changed(live, event.tenant_id, event.data.id)

    bus.consume(Consumer("realtime-pipelines", SUBJECT, Definition, store), database)
    bus.listen(SUBJECT, hear)
