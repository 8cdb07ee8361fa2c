"""Records that look alike: by title, by address of mail, by telephone number."""

import base64
import binascii
from uuid import UUID

import msgspec

from libs.common.errors import Fault, Invalid
from libs.common.postgres import Connection
from services.records.domain.permissions import Access
from services.records.domain.reach import Reach
from services.records.storage import merging, records
from services.records.storage.merging import Suspect
from services.records.usecases.caller import Caller

TITLE = "title"
LOOKED = ("text", "textarea", "email", "phone", "url", "select")
PER_GROUP = 20
ROUNDS = 20


class Place(msgspec.Struct, frozen=True):
    """What a cursor says: after which key, or where nothing of that key was shown, after that of which record."""

    field: str = ""
    key: str = ""
    record: UUID | None = None


class Group(msgspec.Struct, frozen=True):
    """Records that share a value, in its normal form; twenty of them at most."""

    field: str
    value: str
    records: list[msgspec.Raw]


async def duplicates(
    caller: Caller, pipeline_id: UUID, by: str | None, limit: int, cursor: str | None
) -> tuple[list[Group], str | None]:
    """A page of groups, and the cursor of the next; a page may be short although there is one."""
    place = Place() if cursor is None else _place(cursor)

    async def work(reach: Reach) -> tuple[list[Group], str | None]:
        access = reach.require("read")
        fields = _fields(access, by)
        found: list[Group] = []
        seen = True
        async with caller.database.tenant(caller.tenant_id) as connection:
            last = await _after(connection, caller, pipeline_id, place)
            for _ in range(ROUNDS):
                page = await _suspects(connection, caller, pipeline_id, fields, last, limit - len(found) + 1)
                shown = page[: limit - len(found)]
                groups = await _groups(caller, access, connection, shown)
                found += groups
                if len(page) == len(shown):
                    return found, None
                last = shown[-1]
                seen = bool(groups) and (groups[-1].field, groups[-1].value) == (last.field or TITLE, last.key)
                if len(found) >= limit:
                    break
            following = Place(last.field, last.key) if seen else await _hidden(connection, caller, pipeline_id, last)
        return found, _cursor(following)

    return await caller.settled(pipeline_id, work)


async def _suspects(
    connection: Connection, caller: Caller, pipeline_id: UUID, fields: list[str], after: Suspect, limit: int
) -> list[Suspect]:
    """Keys after another one, through the fields in their order."""
    found: list[Suspect] = []
    for field in fields:
        if field >= after.field and len(found) < limit:
            begin = after if field == after.field else Suspect(field, "")
            found += await merging.suspects(connection, caller.tenant_id, pipeline_id, begin, limit - len(found))
    return found


def _fields(access: Access, by: str | None) -> list[str]:
    known = [n for n, field in access.pipeline.fields.items() if field.type in LOOKED and access.names(n)]
    titled = all(access.names(name) for name in access.pipeline.title_fields)
    named = {**({TITLE: ""} if titled else {}), **{name: name for name in known}}
    if by is None:
        return sorted(named.values())
    if by not in named:
        detail = f"Duplicates are not looked for by '{by}', but by {', '.join(named) or 'nothing here'}"
        raise Invalid(errors=[Fault("/by", "unknown_field", detail)])
    return [named[by]]


async def _groups(caller: Caller, access: Access, connection: Connection, page: list[Suspect]) -> list[Group]:
    alike: dict[Suspect, list[UUID]] = {}
    for field in dict.fromkeys(it.field for it in page):
        keys = [it.key for it in page if it.field == field]
        using = frozenset((field,)) if field else access.pipeline.title_fields
        found = await merging.alike(connection, caller.tenant_id, access, caller.context, field, keys, using, PER_GROUP)
        alike |= {Suspect(field, key): ids for key, ids in found.items() if len(ids) > 1}
    ids = {record_id for group in alike.values() for record_id in group}
    bodies = await records.bodies(connection, caller.tenant_id, ids, access, caller.context) if ids else {}
    return [
        Group(it.field or TITLE, it.key, [msgspec.Raw(bodies[i][0].encode()) for i in alike[it] if i in bodies])
        for it in page
        if it in alike
    ]


async def _hidden(connection: Connection, caller: Caller, pipeline_id: UUID, last: Suspect) -> Place:
    """A place that does not tell the key, because the caller may not see what has it."""
    return Place(last.field, "", await merging.holder(connection, caller.tenant_id, pipeline_id, last))


async def _after(connection: Connection, caller: Caller, pipeline_id: UUID, place: Place) -> Suspect:
    if place.record is None:
        return Suspect(place.field, place.key)
    key = await merging.key_of(connection, caller.tenant_id, pipeline_id, place.field, place.record)
    if key is None:
        raise _bad_cursor()
    return Suspect(place.field, key)


def _cursor(place: Place) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def _place(cursor: str) -> Place:
    try:
        found = msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=="), type=Place)
        if "\0" not in found.field + found.key:
            return found
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        pass
    raise _bad_cursor()


def _bad_cursor() -> Invalid:
    return Invalid(errors=[Fault("/cursor", "invalid_cursor", "The cursor is not one of this list")])
