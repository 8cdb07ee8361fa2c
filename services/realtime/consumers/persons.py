"""What realtime holds on a person. What is theirs alone goes with their account, so an erasure finds nothing left."""

from uuid import UUID

from libs.common import persons
from libs.common.bus import Bus
from libs.common.ids import NIL
from libs.common.persons import PAGE, Page, Question
from libs.common.postgres import Database
from services.realtime.storage import persons as store


def serve(bus: Bus, database: Database) -> None:
    """Answers `rpc.realtime.person`."""

    async def contribute(question: Question) -> Page:
        if question.user_id is None or question.kind == "erasure":
            return Page()
        after = UUID(question.cursor) if question.cursor else NIL
        async with database.tenant(question.tenant_id) as connection:
            items = await store.webhooks(connection, question.tenant_id, question.user_id, after, PAGE)
        return Page(items, cursor=items[-1]["id"] if len(items) == PAGE else None)

    persons.serve(bus, "realtime", contribute)
