"""Links are made, listed and ended by who may share; whoever has one comes in the name of its owner, and no further."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from libs.common import clock, outbox
from libs.common.errors import Conflict, Fault, Forbidden, Gone, Invalid, NotFound
from libs.common.events import NewEvent
from libs.common.ids import new_id
from libs.common.postgres import Connection, Database
from services.records.domain.links import MAX_LINKS, MAX_TOKEN, LinkKind, hash_of, new_token, renamed
from services.records.domain.permissions import Access, both
from services.records.domain.reach import Reach
from services.records.storage import links, records
from services.records.storage.links import Link, Settings
from services.records.usecases.caller import Caller
from services.records.usecases.owners import Owners

MAX_DAYS = 3660


class Opened(msgspec.Struct, frozen=True):
    """A link that is open, and its owner as a caller."""

    link: Link
    owner: Caller


class LinkEvent(msgspec.Struct, frozen=True):
    """Data of `records.link.*`."""

    id: UUID
    kind: str
    pipeline_id: UUID
    target_id: UUID | None
    owner_id: UUID


def shareable(reach: Reach) -> Access:
    """What may be shared: what may be read and shared."""
    reach.require("read")
    reach.require("share")
    return both(reach.access("read"), reach.access("share"))


def named(access: Access, names: Sequence[str] | None, pointer: str = "/fields") -> None:
    """Raises Invalid where fields are named that do not exist for who shares."""
    unknown = [(place, name) for place, name in enumerate(names or ()) if not access.names(name)]
    if unknown:
        faults = [
            Fault(f"{pointer}/{place}", "unknown_field", f"There is no field '{name}'") for place, name in unknown
        ]
        raise Invalid(errors=faults)


def sharing(reach: Reach, names: Sequence[str] | None) -> Access:
    """What may be shared, of which these fields are to be."""
    access = shareable(reach)
    named(access, names)
    return access


def require_person(caller: Caller) -> None:
    """Raises unless the caller is a person, in their own name: what they make stays open when they are gone."""
    if caller.principal.kind != "user":
        raise Forbidden("Links are open in the name of people, so people make them", code="people-only")
    if caller.principal.actor is not None:
        raise Forbidden("Nobody opens links in another's name", code="impersonating")


async def make(
    caller: Caller, kind: LinkKind, pipeline_id: UUID, target: UUID | None, settings: msgspec.Struct,
    expires_at: datetime | None, token: str | None = None, access: Access | None = None,
) -> tuple[Link, str]:  # fmt: skip
    """A new link and its token; a record must pass `access`."""
    require_person(caller)
    token = token or new_token()
    text = msgspec.json.encode(settings).decode()
    link = Link(
        new_id(), kind, pipeline_id, target, caller.principal.id, text, caller.now, expires_at, None, ended=False
    )
    async with caller.database.tenant(caller.tenant_id) as connection:
        if expires_at is not None:
            await check_end(connection, expires_at, "/closes_at" if kind == "form" else "/expires_at")
        if access is not None and target is not None:
            await _check_seen(connection, caller, access, target)
        if await links.count(connection, caller.tenant_id, pipeline_id) >= MAX_LINKS:
            raise Conflict(f"There are {MAX_LINKS} links, as many as there may be", code="too-many")
        made = await links.insert(connection, caller.tenant_id, link, hash_of(token))
        await _announce(connection, caller.tenant_id, "created", link)
    return msgspec.structs.replace(link, created_at=made), token


async def check_end(connection: Connection, expires_at: datetime, pointer: str) -> None:
    """An end that is over, or without a time zone, is none."""
    far = (expires_at - clock.now()).days > MAX_DAYS if expires_at.tzinfo else False
    if not expires_at.tzinfo or far or await links.is_past(connection, clock.utc(expires_at)):
        detail = f"A time within {MAX_DAYS} days from now is expected"
        raise Invalid(errors=[Fault(pointer, "out_of_range", detail)])


async def page(
    caller: Caller, reach: Reach, kind: LinkKind, target: UUID | None, after: UUID, limit: int
) -> list[Link]:
    """The links to a record that may be shared, or all of a kind in a pipeline."""
    access = shareable(reach)
    async with caller.database.tenant(caller.tenant_id) as connection:
        if target is not None and kind == "record":
            await _check_seen(connection, caller, access, target)
        return await links.page(connection, caller.tenant_id, reach.pipeline.id, kind, target, after, limit)


async def count(caller: Caller, reach: Reach, kind: LinkKind, target: UUID | None) -> int:
    """How many links `page` goes over, for whoever it lets see them."""
    shareable(reach)
    async with caller.database.tenant(caller.tenant_id) as connection:
        return await links.count_kind(connection, caller.tenant_id, reach.pipeline.id, kind, target)


async def revoke(caller: Caller, reach: Reach, kind: LinkKind, target: UUID | None, link_id: UUID) -> None:
    """Ends a link at once."""
    access = shareable(reach)
    async with caller.database.tenant(caller.tenant_id) as connection:
        link = await links.get(connection, caller.tenant_id, reach.pipeline.id, kind, link_id)
        if link is None or (target is not None and link.target_id != target):
            raise NotFound("There is no such link")
        if target is not None and kind == "record":
            await _check_seen(connection, caller, access, target)
        if await links.revoke(connection, caller.tenant_id, link_id):
            await _announce(connection, caller.tenant_id, "deleted", link)


async def open_link(
    owners: Owners, database: Database, tenant_id: UUID, token: str, kind: LinkKind, called: str
) -> Opened:
    """The link of a token; one that has ended, or whose owner is not there any more, is `Gone`."""
    if len(token) > MAX_TOKEN:
        raise NotFound("There is no such link")
    async with database.tenant(tenant_id) as connection:
        link = await links.opened(connection, tenant_id, hash_of(token), kind)
    if link is None:
        raise NotFound("There is no such link")
    owner = None if link.ended else await owners.caller(tenant_id, link.owner_id, called)
    if owner is None:
        raise Gone("The link has ended", code="link-ended")
    return Opened(link, owner)


async def reached(it: Opened) -> Reach:
    """The pipeline of a link, as its owner may see it."""
    try:
        return await it.owner.reach(it.link.pipeline_id)
    except NotFound:
        raise Gone("The link has ended", code="link-ended") from None


async def _check_seen(connection: Connection, caller: Caller, access: Access, record_id: UUID) -> None:
    seen = await records.visible(connection, caller.tenant_id, [record_id], access, caller.context, hold=True)
    if record_id not in seen:
        raise NotFound("There is no such record that you may share")


async def _announce(connection: Connection, tenant_id: UUID, verb: str, it: Link) -> None:
    data = LinkEvent(it.id, it.kind, it.pipeline_id, it.target_id, it.owner_id)
    await outbox.record(connection, tenant_id, [NewEvent(f"records.link.{verb}", it.id, data)])


async def rename(connection: Connection, tenant_id: UUID, pipeline_id: UUID, renames: Mapping[str, str]) -> None:
    """Lets the links and forms of a pipeline name its fields as they are called now."""
    before = {it.id: msgspec.json.decode(it.settings) for it in await links.hold(connection, tenant_id, pipeline_id)}
    after = {link_id: renamed(said, renames) for link_id, said in before.items()}
    changed = [
        Settings(link_id, msgspec.json.encode(said).decode())
        for link_id, said in after.items()
        if said != before[link_id]
    ]
    if changed:
        await links.say(connection, tenant_id, changed)
