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
FIRST = Suspect("", "")


class Group(msgspec.Struct, frozen=True):
    """Records that share a value, in its normal form; twenty of them at most."""

    field: str
    value: str
    records: list[msgspec.Raw]


async def duplicates(
    caller: Caller, pipeline_id: UUID, by: str | None, limit: int, cursor: str | None
) -> tuple[list[Group], str | None]:
    """A page of groups, and the cursor of the next; a page may be short although there is one."""
    after = FIRST if cursor is None else _after(cursor)

    async def work(reach: Reach) -> tuple[list[Group], str | None]:
        access = reach.require("read")
        fields = _fields(access, by)
        found: list[Group] = []
        last = after
        async with caller.database.tenant(caller.tenant_id) as connection:
            for _ in range(ROUNDS):
                page = await _suspects(connection, caller, pipeline_id, fields, last, limit - len(found) + 1)
                shown = page[: limit - len(found)]
                found += await _groups(caller, access, connection, shown)
                if len(page) == len(shown):
                    return found, None
                last = shown[-1]
                if len(found) >= limit:
                    break
        return found, _cursor(last)

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
        raise Invalid(errors=[Fault("/by", "unknown_field", f"Duplicates are not looked for by '{by}'")])
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


def _cursor(last: Suspect) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(last)).decode().rstrip("=")


def _after(cursor: str) -> Suspect:
    try:
        found = msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=="), type=Suspect)
        if "\0" not in found.field + found.key:
            return found
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        pass
    raise Invalid(errors=[Fault("/cursor", "invalid_cursor", "The cursor is not one of this list")])
