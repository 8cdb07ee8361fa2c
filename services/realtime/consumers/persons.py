"""What realtime holds on a person, a bounded page at a time.

Their webhooks and what they were told go with their account. What others were told of them, and what is kept of
deliveries, stays without their name.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from libs.common import persons
from libs.common.bus import Bus
from libs.common.ids import NIL
from libs.common.persons import ERASED_NAME, Page, Question
from libs.common.postgres import Connection, Database
from services.realtime.domain.persons import renamed
from services.realtime.storage import persons as store

SCANNED = 200


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the next page begins: in which part, after which id."""

    part: str
    after: UUID = NIL


Found = tuple[list[dict[str, Any]], dict[str, int], Place | None]


def serve(bus: Bus, database: Database) -> None:
    """Answers `rpc.realtime.person`."""

    async def contribute(question: Question) -> Page:
        if question.user_id is None:
            return Page()
        place = msgspec.json.decode(question.cursor, type=Place) if question.cursor else _first(question)
        async with database.tenant(question.tenant_id) as connection:
            items, erased, following = await _PARTS[place.part](connection, question, question.user_id, place.after)
        return Page(items, erased, msgspec.json.encode(following).decode() if following else None)

    persons.serve(bus, "realtime", contribute)


def _first(question: Question) -> Place:
    return Place("told" if question.kind == "erasure" else "webhooks")


async def _webhooks(connection: Connection, question: Question, user_id: UUID, after: UUID) -> Found:
    items = await store.webhooks(connection, question.tenant_id, user_id, after, SCANNED)
    return items, {}, _behind("webhooks", items, "notifications")


async def _notifications(connection: Connection, question: Question, user_id: UUID, after: UUID) -> Found:
    items = await store.notifications(connection, question.tenant_id, user_id, after, SCANNED)
    return items, {}, _behind("notifications", items, "deliveries")


async def _told(connection: Connection, question: Question, user_id: UUID, after: UUID) -> Found:
    found = await store.told_others(connection, question.tenant_id, user_id, after, SCANNED)
    changed = _without_name(found, user_id)
    await store.put_told(connection, question.tenant_id, changed)
    keys = [{"id": str(key)} for key in found]
    return [], {"notifications": len(changed)} if changed else {}, _behind("told", keys, "deliveries")


async def _deliveries(connection: Connection, question: Question, user_id: UUID, after: UUID) -> Found:
    found = await store.deliveries(connection, question.tenant_id, user_id, after, SCANNED)
    items = [it.told() for it in found]
    following = _behind("deliveries", items, None)
    if question.kind == "export":
        return items, {}, following
    changed = _without_name({it.id: it.payload for it in found}, user_id)
    await store.put_payloads(connection, question.tenant_id, changed)
    return [], {"deliveries": len(changed)} if changed else {}, following


_PARTS = {"webhooks": _webhooks, "notifications": _notifications, "told": _told, "deliveries": _deliveries}


def _behind(part: str, items: list[dict[str, Any]], then: str | None) -> Place | None:
    """The place behind a page: in the same part where that was full, else in the next."""
    if len(items) == SCANNED:
        return Place(part, UUID(items[-1]["id"]))
    return Place(then) if then else None


def _without_name(found: Mapping[UUID, str], user_id: UUID) -> dict[UUID, str]:
    """Those of some JSON texts that name the person, with another name."""
    before = {key: msgspec.json.decode(text) for key, text in found.items()}
    after = {key: renamed(told, str(user_id), ERASED_NAME) for key, told in before.items()}
    return {key: msgspec.json.encode(told).decode() for key, told in after.items() if told != before[key]}
