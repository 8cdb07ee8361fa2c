"""Whom a change of a record concerns, before it is asked who may know of it."""

import re
from collections.abc import Iterator
from uuid import UUID

import msgspec

from services.realtime.domain.changes import Change
from services.realtime.domain.definitions import Definition
from services.realtime.domain.notifications import NoticeKind

MENTION = re.compile(r"@\[[^\]\n]{1,200}\]\(user:([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\)")
MENTIONING = "textarea"
TELLING = {"created": ("user", MENTIONING), "updated": ("user", MENTIONING, "stage")}
"""The types of fields that may concern somebody, by what was done."""


class Concern(msgspec.Struct, frozen=True):
    """Somebody whom a field of a change concerns. `stage` is where the record came to."""

    user_id: UUID
    kind: NoticeKind
    field: str
    stage: str | None = None


def concerns(change: Change, definition: Definition, followers: frozenset[UUID]) -> Iterator[Concern]:
    """Those whom a change names, and those whose record, or one that they follow, came to another stage."""
    telling = TELLING.get(change.verb, ())
    for field in definition.fields:
        if field.type not in telling or field.name not in change.changed:
            continue
        before, after = _value(change, field.name, before=True), _value(change, field.name)
        if field.type == "user":
            yield from (Concern(who, "assigned", field.name) for who in _ids(after) - _ids(before))
        elif field.type == MENTIONING:
            yield from (Concern(who, "mentioned", field.name) for who in mentioned(after) - mentioned(before))
        elif before != after:
            stage = after if isinstance(after, str) else None
            for who in followers | owners(change, definition):
                yield Concern(who, "stage_changed", field.name, stage)


def owners(change: Change, definition: Definition) -> frozenset[UUID]:
    """Those whose record it is: who made it, and whom its fields name."""
    fields = (field.name for field in definition.fields if field.type == "user")
    named = frozenset().union(*(_ids(_value(change, name)) for name in fields))
    return named | _ids(change.after.get("created_by"))


def mentioned(value: object) -> frozenset[UUID]:
    """Those whom a text mentions: `@[Ada](user:<id>)`."""
    return frozenset(UUID(found) for found in MENTION.findall(value)) if isinstance(value, str) else frozenset()


def _value(change: Change, name: str, *, before: bool = False) -> object:
    if before and change.verb == "created":
        return None
    data = (change.before if before else change.after).get("data")
    return data.get(name) if isinstance(data, dict) else None


def _ids(value: object) -> frozenset[UUID]:
    found = set()
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str):
            try:
                found.add(UUID(item))
            except ValueError:
                continue
    return frozenset(found)
