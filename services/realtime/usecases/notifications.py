"""What a person was told, how they want to be told, and what they follow."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from libs.common import clock
from libs.common.bus import Bus
from libs.common.errors import Conflict, Forbidden, Invalid, NotFound
from libs.common.identity import Principal
from libs.common.permissions import Permissions
from libs.common.postgres import Database
from services.realtime.domain import notifications as rules
from services.realtime.domain import unsubscribing
from services.realtime.domain.notifications import MAX_FOLLOWS, Follow, Notification, Preferences
from services.realtime.domain.sight import compile_sight
from services.realtime.domain.unsubscribing import Digests
from services.realtime.storage import notifications as store
from services.realtime.storage import users
from services.realtime.usecases import fitting, records
from services.realtime.usecases.definitions import Definitions
from services.realtime.usecases.groups import READ, RECORDS
from services.realtime.usecases.owners import person_of


@dataclass(frozen=True, slots=True)
class Notices:
    """What the use cases of notifications stand on; `digests` sign the links that end mails, the newest first."""

    bus: Bus
    database: Database
    definitions: Definitions
    digests: Digests


class _ViewQuestion(msgspec.Struct):
    tenant_id: UUID
    view_id: UUID


class View(msgspec.Struct, frozen=True):
    """What is read of a view."""

    id: UUID
    name: str
    pipeline_id: UUID
    visibility: str
    owner_id: UUID
    filter: Any = None
    deleted: bool = False


def _person(principal: Principal) -> UUID:
    if principal.kind != "user":
        raise Forbidden("Only people are notified", code="people-only")
    return principal.id


async def page(
    notices: Notices, principal: Principal, before: UUID | None, unread: bool, limit: int
) -> tuple[list[Notification], int]:
    """The person's notifications, the newest first, and how many are unread in all."""
    tenant_id, person = principal.tenant_id, _person(principal)
    async with notices.database.tenant(tenant_id) as connection:
        found = await store.page(connection, tenant_id, person, before, unread, limit)
        return found, await store.unread(connection, tenant_id, person)


async def count(notices: Notices, principal: Principal, unread: bool) -> int:
    """How many notifications the person has, all or the unread ones."""
    tenant_id, person = principal.tenant_id, _person(principal)
    async with notices.database.tenant(tenant_id) as connection:
        return await store.count(connection, tenant_id, person, unread)


async def read(notices: Notices, principal: Principal, ids: list[UUID] | None, until: UUID | None) -> int:
    """Notes that some notifications, or all up to one, were read; how many are unread then."""
    tenant_id, person = principal.tenant_id, _person(principal)
    async with notices.database.tenant(tenant_id) as connection:
        await store.read_some(connection, tenant_id, person, ids or [])
        if until is not None:
            await store.read_until(connection, tenant_id, person, until)
        return await store.unread(connection, tenant_id, person)


async def preferences(notices: Notices, principal: Principal) -> Preferences:
    """How the person wants to be told."""
    async with notices.database.tenant(principal.tenant_id) as connection:
        return (await store.preferences(connection, principal.tenant_id, _person(principal))).full()


async def prefer(notices: Notices, principal: Principal, wanted: Preferences) -> Preferences:
    """Tells the person otherwise from now on."""
    person = _person(principal)
    if faults := rules.check(wanted):
        raise Invalid(errors=faults)
    async with notices.database.tenant(principal.tenant_id) as connection:
        await users.meet(connection, principal.tenant_id, person_of(principal))
        await store.put_preferences(connection, principal.tenant_id, person, wanted.full())
        await store.due_digest(connection, principal.tenant_id, person, wanted.next_digest(clock.now()))
    return wanted.full()


async def unsubscribe(notices: Notices, token: str) -> None:
    """Ends the mails that a link names."""
    named = unsubscribing.read(token, notices.digests)
    async with notices.database.tenant(named.tenant_id) as connection:
        present = await store.preferences(connection, named.tenant_id, named.user_id)
        wanted = present.without_mail(named.kind)
        await store.put_preferences(connection, named.tenant_id, named.user_id, wanted)


async def follow(
    notices: Notices, principal: Principal, permissions: Permissions, record_id: UUID | None, view_id: UUID | None
) -> Follow:
    """Follows a record or a view that the person may see."""
    person = _person(principal)
    if view_id is not None:
        found = await _view(notices, principal, permissions, view_id)
        wanted = Follow(person, "view", found.id, found.pipeline_id, found.name, found.filter, clock.now())
    elif record_id is not None:
        record = await records.find(notices.bus, principal.token, record_id)
        wanted = Follow(person, "record", record.id, record.pipeline_id, "", None, clock.now())
    else:
        raise Invalid("Either 'record_id' or 'view_id' is expected")
    async with notices.database.tenant(principal.tenant_id) as connection:
        if await store.lock_follows(connection, principal.tenant_id, person) >= MAX_FOLLOWS:
            raise Conflict(f"At most {MAX_FOLLOWS} things are followed", code="too-many-follows")
        await users.meet(connection, principal.tenant_id, person_of(principal))
        await store.follow(connection, principal.tenant_id, wanted)
    return wanted


async def _view(notices: Notices, principal: Principal, permissions: Permissions, view_id: UUID) -> View:
    question = _ViewQuestion(principal.tenant_id, view_id)
    found = await notices.bus.request("rpc.pipelines.view", question, View)
    if found.deleted or (found.visibility == "private" and found.owner_id != principal.id):
        raise NotFound
    permissions.require(READ, RECORDS, found.pipeline_id)
    definition = await notices.definitions.get(principal.tenant_id, found.pipeline_id)
    grants = permissions.alternatives(READ, RECORDS, definition.id)
    sight = compile_sight(grants, definition, str(principal.id))
    if sight.asks:
        raise Forbidden("Your rule for this pipeline looks at other records", code="rule-reaches")
    if found.filter:
        await fitting.require(notices.definitions, found.filter, definition, principal, permissions)
    return found


async def follows(notices: Notices, principal: Principal) -> list[Follow]:
    """What the person follows."""
    async with notices.database.tenant(principal.tenant_id) as connection:
        return await store.follows(connection, principal.tenant_id, _person(principal))


async def unfollow(notices: Notices, principal: Principal, target_id: UUID) -> None:
    """Follows something no more."""
    person = _person(principal)
    async with notices.database.tenant(principal.tenant_id) as connection:
        found = [await store.unfollow(connection, principal.tenant_id, person, kind, target_id)
                 for kind in ("record", "view")]  # fmt: skip
    if not any(found):
        raise NotFound
