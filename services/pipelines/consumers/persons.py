"""What pipelines holds on a person: views and versions with their id, and no name. So there is nothing to erase."""

from typing import Any
from uuid import UUID

import msgspec

from libs.common import persons
from libs.common.bus import Bus
from libs.common.ids import NIL
from libs.common.persons import PAGE, Page, Question
from libs.common.postgres import Database
from services.pipelines.storage import persons as store


def serve(bus: Bus, database: Database) -> None:
    """Answers `rpc.pipelines.person`."""

    async def contribute(question: Question) -> Page:
        if question.user_id is None or question.kind == "erasure":
            return Page()
        after = msgspec.json.decode(question.cursor, type=tuple[UUID, int]) if question.cursor else (NIL, 0)
        async with database.tenant(question.tenant_id) as connection:
            views = [] if question.cursor else await store.views(connection, question.tenant_id, question.user_id)
            found = await store.versions(connection, question.tenant_id, question.user_id, after, PAGE)
        items = [*(_told("view", it) for it in views), *(_told("pipeline_version", it) for it in found)]
        full = len(found) == PAGE
        return Page(
            items, cursor=msgspec.json.encode((found[-1].pipeline_id, found[-1].version)).decode() if full else None
        )

    persons.serve(bus, "pipelines", contribute)


def _told(kind: str, it: msgspec.Struct) -> dict[str, Any]:
    return {"kind": kind, **msgspec.to_builtins(it)}
