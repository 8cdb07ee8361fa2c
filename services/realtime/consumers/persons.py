"""What realtime holds on a person, a page at a time: so many rows are looked at, whomever they speak of.

Their webhooks and what they were told go with their account. What others were told of them, and what is kept of
deliveries, stays without their name.
"""

from collections.abc import Mapping
from decimal import Decimal
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

_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the next page begins: in which part, after which id, and of whom that is where ids are by user."""

    part: str
    after: UUID = NIL
    of: UUID = NIL


Found = tuple[list[dict[str, Any]], dict[str, int], Place | None]


def serve(bus: Bus, database: Database) -> None:
    """Answers `rpc.realtime.person`."""

    async def contribute(question: Question) -> Page:
        if question.user_id is None:
            return Page()
        place = msgspec.json.decode(question.cursor, type=Place) if question.cursor else _first(question)
        async with database.tenant(question.tenant_id) as connection:
            items, erased, following = await _PARTS[place.part](connection, question, question.user_id, place)
        return Page(items, erased, msgspec.json.encode(following).decode() if following else None)

    persons.serve(bus, "realtime", contribute)


def _first(question: Question) -> Place:
    return Place("told" if question.kind == "erasure" else "webhooks")


async def _webhooks(connection: Connection, question: Question, user_id: UUID, place: Place) -> Found:
    items = await store.webhooks(connection, question.tenant_id, user_id, place.after, SCANNED)
    return items, {}, _behind(place, _ids(items), "notifications")


async def _notifications(connection: Connection, question: Question, user_id: UUID, place: Place) -> Found:
    items = await store.notifications(connection, question.tenant_id, user_id, place.after, SCANNED)
    return items, {}, _behind(place, _ids(items), "deliveries")


async def _told(connection: Connection, question: Question, user_id: UUID, place: Place) -> Found:
    after = place.of, place.after
    found = await store.told_others(connection, question.tenant_id, user_id, after, SCANNED)
    changed = _without_name({it.id: it.data for it in found if it.data}, user_id)
    await store.put_told(connection, question.tenant_id, changed)
    full = len(found) == SCANNED
    following = Place(place.part, found[-1].id, found[-1].user_id) if full else Place("deliveries")
    return [], {"notifications": len(changed)} if changed else {}, following


async def _deliveries(connection: Connection, question: Question, user_id: UUID, place: Place) -> Found:
    found = await store.deliveries(connection, question.tenant_id, user_id, place.after, SCANNED)
    following = _behind(place, [it.id for it in found], None)
    if question.kind == "export":
        return [it.told() for it in found if it.payload], {}, following
    changed = _without_name({it.id: it.payload for it in found if it.payload}, user_id)
    await store.put_payloads(connection, question.tenant_id, changed)
    return [], {"deliveries": len(changed)} if changed else {}, following


_PARTS = {"webhooks": _webhooks, "notifications": _notifications, "told": _told, "deliveries": _deliveries}


def _behind(place: Place, ids: list[UUID], then: str | None) -> Place | None:
    """The place behind a page: in the same part where that was full, else in the next."""
    if len(ids) == SCANNED:
        return Place(place.part, ids[-1])
    return Place(then) if then else None


def _ids(items: list[dict[str, Any]]) -> list[UUID]:
    return [UUID(it["id"]) for it in items]


def _without_name(found: Mapping[UUID, str], user_id: UUID) -> dict[UUID, str]:
    """Those of some JSON texts that name the person, with another name."""
    before = {key: _decoder.decode(text) for key, text in found.items()}
    after = {key: renamed(told, str(user_id), ERASED_NAME) for key, told in before.items()}
    return {key: _encoder.encode(told).decode() for key, told in after.items() if told != before[key]}
