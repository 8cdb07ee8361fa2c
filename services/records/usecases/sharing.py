"""What whoever has a link to a record or a view sees of it, and changes."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping

import msgspec

from libs.common.errors import Fault, Forbidden, Gone, Invalid, NotFound, Unavailable
from libs.common.filters.cursors import invalid_cursor
from libs.common.postgres import Connection
from libs.common.sealing import Seal
from services.records.domain.links import (
    SharedField,
    SharedRecord,
    Sharing,
    shared,
    shared_fields,
    until,
)
from services.records.domain.operations import Update
from services.records.domain.origin import CURRENT, Origin
from services.records.domain.permissions import Access, escape, not_writable
from services.records.domain.reach import Reach
from services.records.storage import listing, records
from services.records.usecases import read, views
from services.records.usecases.links import Opened, reached, shareable
from services.records.usecases.read import ListRequest
from services.records.usecases.writing import Writer


class SharedPage(msgspec.Struct, frozen=True):
    """A page of the list of a view, with the fields that it shows."""

    name: str
    fields: list[SharedField]
    items: list[SharedRecord]
    next_cursor: str | None


class _Body(msgspec.Struct):
    data: dict[str, object]


class SharedAnswer(msgspec.Struct, frozen=True):
    """A record that is shared, the fields it is shown with, and which of these may be changed."""

    record: SharedRecord
    fields: list[SharedField]
    editable: list[str]
    expires_at: str | None


async def show(it: Opened) -> SharedAnswer:
    """The record, as far as the owner may read and share it now."""
    reach, settings = await reached(it), _settings(it)
    access = _access(reach)

    async def work() -> str:
        return await _body(it, access, settings)

    body = await it.owner.warmed(work)
    return _answer(it, reach, settings, body)


async def change(it: Opened, patch: Mapping[str, object], version: int | None) -> SharedAnswer:
    """Merges a patch of fields that the link shows, as far as the owner may write them."""
    settings, target = _settings(it), it.link.target_id
    if not settings.editable:
        raise Forbidden("The link is for reading", code="read-only")
    assert target is not None
    CURRENT.set(Origin("share", id=it.link.id))

    async def work(reach: Reach) -> str:
        access = _access(reach)
        unknown = [name for name in patch if not _shown(reach, settings, name)]
        if unknown:
            faults = [Fault(f"/data/{escape(n)}", "unknown_field", f"There is no field '{n}'") for n in unknown]
            raise Invalid(errors=faults)
        async with it.owner.database.tenant(it.owner.tenant_id) as connection:
            _check_unnamed(reach, patch, await _seen(connection, it, access, settings))
            await Writer(it.owner, reach, connection).one(Update(target, patch, version))
            return await _seen(connection, it, access, settings)

    try:
        body = await it.owner.settled(it.link.pipeline_id, work)
    except NotFound:
        raise _ended() from None
    return _answer(it, await reached(it), settings, body)


def _check_unnamed(reach: Reach, patch: Mapping[str, object], body: str) -> None:
    """Unique values stay as they are: whether another has one is nothing that strangers are told."""
    known = msgspec.json.decode(body, type=_Body).data
    named = [name for name in reach.pipeline.unique if name in patch and patch[name] != known.get(name)]
    if named:
        raise not_writable(named)


async def listed(it: Opened, limit: int, cursor: str | None) -> SharedPage:
    """A page of a view's list, of what its owner may read and share now."""
    assert it.link.target_id is not None
    reach = await reached(it)
    access = _access(reach)
    try:
        view = await views.find(it.owner, it.link.pipeline_id, str(it.link.target_id))
    except Invalid:
        raise _ended() from None
    after = None if cursor is None else _unsealed(it, cursor)
    query, _ = read.compile_query(it.owner, reach, ListRequest(limit=limit, cursor=after), view)
    query = msgspec.structs.replace(query, access=access)

    async def work() -> list[listing.Listed]:
        async with it.owner.database.tenant(it.owner.tenant_id) as connection:
            return await listing.page(connection, it.owner.tenant_id, query)

    rows = await it.owner.warmed(work)
    names = [
        name
        for name in reach.pipeline.fields
        if access.names(name) and (query.only is None or name in query.only) and _shown(reach, _settings(it), name)
    ]
    shown = [shared(row.body, reach.pipeline, names) for row in rows[:limit]]
    following = _sealed(it, query.sort.encode(rows[limit - 1].cursor_key, query.binding)) if len(rows) > limit else None
    return SharedPage(reach.pipeline.definition.name, shared_fields(reach.pipeline, names), shown, following)


def _sealed(it: Opened, cursor: str) -> str:
    sealed = Seal(_settings(it).secret, "list cursors").close(cursor.encode(), it.link.id.bytes)
    return urlsafe_b64encode(sealed).decode().rstrip("=")


def _unsealed(it: Opened, cursor: str) -> str:
    try:
        sealed = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        return Seal(_settings(it).secret, "list cursors").open(sealed, it.link.id.bytes).decode()
    except (ValueError, Unavailable):
        raise invalid_cursor() from None


def _settings(it: Opened) -> Sharing:
    return msgspec.json.decode(it.link.settings, type=Sharing)


def _access(reach: Reach) -> Access:
    try:
        return shareable(reach)
    except Forbidden:
        raise _ended() from None


def _ended() -> Gone:
    return Gone("The link has ended", code="link-ended")


def _shown(reach: Reach, settings: Sharing, name: str) -> bool:
    return reach.access("read").names(name) and (settings.fields is None or name in settings.fields)


async def _body(it: Opened, access: Access, settings: Sharing) -> str:
    async with it.owner.database.tenant(it.owner.tenant_id) as connection:
        return await _seen(connection, it, access, settings)


async def _seen(connection: Connection, it: Opened, access: Access, settings: Sharing) -> str:
    assert it.link.target_id is not None
    only = None if settings.fields is None else frozenset(settings.fields)
    found = await records.get(connection, it.owner.tenant_id, it.link.target_id, access, it.owner.context, only)
    if found is None:
        raise _ended()
    return found[1]


def _answer(it: Opened, reach: Reach, settings: Sharing, body: str) -> SharedAnswer:
    names = [name for name in reach.pipeline.fields if _shown(reach, settings, name)]
    record = shared(body, reach.pipeline, names)
    writable = _writable(reach, names) if settings.editable else []
    return SharedAnswer(record, shared_fields(reach.pipeline, names), writable, until(it.link.expires_at))


def _writable(reach: Reach, names: list[str]) -> list[str]:
    masks = [a.writable for a in reach.access("update").alternatives]
    there = (name for name in names if not reach.pipeline.fields[name].unique)
    return [name for name in there if any(mask is None or name in mask for mask in masks)]
