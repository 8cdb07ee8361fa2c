"""What records holds on a person, a bounded page at a time: what they did, and which records hold their address.

The address is looked for in fields of type e-mail. An erasure takes the person's name out of history; records that hold
the address are told and left as they are, because they are the organization's own.
"""

from typing import Any
from uuid import UUID

import msgspec

from libs.common import persons
from libs.common.bus import Bus
from libs.common.ids import NIL
from libs.common.persons import ERASED_NAME, Page, Question
from libs.common.postgres import Connection, Database
from services.records.domain.definitions import Definition
from services.records.storage import persons as store
from services.records.storage import users

SCANNED = 2000
HELD = 10


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the next page begins: in which part, after which key."""

    part: str
    after: UUID = NIL
    version: int = 0
    pipeline_id: UUID = NIL
    field: int = 0


def serve(bus: Bus, database: Database) -> None:
    """Answers `rpc.records.person`."""

    async def contribute(question: Question) -> Page:
        place = msgspec.json.decode(question.cursor, type=Place) if question.cursor else _first(question)
        async with database.tenant(question.tenant_id) as connection:
            items, erased, following = await _PARTS[place.part](connection, question, place)
        cursor = msgspec.json.encode(following).decode() if following else None
        return Page(items, erased, cursor)

    persons.serve(bus, "records", contribute)


Found = tuple[list[dict[str, Any]], dict[str, int], Place | None]


def _first(question: Question) -> Place:
    if question.user_id is None:
        return Place("addresses")
    return Place("history" if question.kind == "erasure" else "records")


async def _records(connection: Connection, question: Question, place: Place) -> Found:
    assert question.user_id is not None
    found = await store.authored(connection, question.tenant_id, question.user_id, place.after, SCANNED)
    more = found.count == SCANNED and found.last is not None
    following = Place("records", found.last or NIL) if more else Place("history")
    return msgspec.json.decode(found.items), {}, following


async def _history(connection: Connection, question: Question, place: Place) -> Found:
    tenant_id, user_id = question.tenant_id, question.user_id
    assert user_id is not None
    items, erased = [], {}
    found: store.Scanned | store.Anonymized
    if question.kind == "erasure":
        await users.forget(connection, tenant_id, user_id)
        await store.anonymize_definitions(connection, tenant_id, user_id, ERASED_NAME)
        found = await store.anonymize(connection, tenant_id, user_id, place.after, place.version, SCANNED, ERASED_NAME)
        erased = {"history": found.changed} if found.changed else {}
    else:
        found = await store.acted(connection, tenant_id, user_id, place.after, place.version, SCANNED)
        items = msgspec.json.decode(found.items)
    if found.count == SCANNED and found.last is not None:
        return items, erased, Place("history", found.last, found.version)
    return items, erased, Place("addresses") if question.email else None


async def _addresses(connection: Connection, question: Question, place: Place) -> Found:
    pipeline = await store.next_pipeline(connection, question.tenant_id, _before(place.pipeline_id))
    if pipeline is None or not question.email:
        return [], {}, None
    names = [field.name for field in pipeline.fields if field.type == "email"]
    if place.pipeline_id != pipeline.id:
        place = Place("addresses", pipeline_id=pipeline.id)
    if place.field >= len(names):
        return [], {}, Place("addresses", pipeline_id=_after(pipeline.id))
    wanted = {names[place.field]: question.email}
    found = await store.holding(connection, question.tenant_id, pipeline.id, wanted, place.after, HELD)
    items = [_held(question, pipeline, names[place.field], *row) for row in found]
    if len(found) == HELD:
        return items, {}, msgspec.structs.replace(place, after=found[-1][0])
    return items, {}, Place("addresses", pipeline_id=pipeline.id, field=place.field + 1)


def _held(
    question: Question, pipeline: Definition, field: str, record_id: UUID, title: str, data: Any
) -> dict[str, Any]:
    named = {"kind": "record_with_address", "id": str(record_id), "pipeline": pipeline.name, "field": field}
    if question.kind == "erasure":
        return named
    return {**named, "title": title, "data": data}


def _before(pipeline_id: UUID) -> UUID:
    return UUID(int=max(0, pipeline_id.int - 1))


def _after(pipeline_id: UUID) -> UUID:
    return UUID(int=pipeline_id.int + 1)


_PARTS = {"records": _records, "history": _history, "addresses": _addresses}
