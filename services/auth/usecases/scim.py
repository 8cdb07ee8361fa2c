"""Provisioning: people and roles as a directory elsewhere wants them, by a key that may manage users."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from scim2_models import Context as ScimContext
from scim2_models import (
    InvalidValueException,
    MutabilityException,
    NotFoundException,
    PreconditionFailedException,
    SearchRequest,
    TooManyException,
)

from libs.common import clock, outbox
from libs.common.errors import Invalid, NotFound
from libs.common.identity import Principal
from libs.common.ids import new_id, parse_id
from libs.common.permissions import Permissions
from libs.common.postgres import Connection
from services.auth.domain import events, grants, people, seeds
from services.auth.domain import roles as role_rules
from services.auth.domain import scim as rules
from services.auth.domain.audit import of_principal, of_user
from services.auth.domain.organizations import require_active
from services.auth.domain.people import User, UserStatus
from services.auth.domain.roles import Catalogue, Role
from services.auth.domain.scim import Kept, ScimGroup, ScimUser, Wanted
from services.auth.storage import organizations, roles, scim, sso, users
from services.auth.usecases import mailed
from services.auth.usecases import roles as role_cases
from services.auth.usecases import users as user_cases
from services.auth.usecases.context import Context

R = TypeVar("R", ScimUser, ScimGroup)


class Caller(msgspec.Struct, frozen=True):
    """Who provisions, what it may do, and below which address resources are."""

    principal: Principal
    permissions: Permissions
    base: str

    @property
    def tenant_id(self) -> UUID:
        """Its tenant."""
        return self.principal.tenant_id


class Found(msgspec.Struct, frozen=True):
    """A part of what was searched for."""

    resources: Sequence[ScimUser | ScimGroup]
    total: int


async def find_users(context: Context, by: Caller, request: SearchRequest[Any]) -> Found:
    """Users that fit a filter. What no index answers is looked for in the first ten thousand."""
    _require(by)
    async with context.database.tenant(by.tenant_id) as connection:
        catalogue = await roles.catalogue(connection, by.tenant_id)

        def shown(found: Sequence[Kept]) -> list[ScimUser]:
            return [rules.of_user(it, catalogue, by.base) for it in found]

        if request.filter is None and request.sort_by is None:
            total = await users.count(connection, by.tenant_id)
            offset, limit = _window(request)
            return Found(shown(await scim.page(connection, by.tenant_id, offset, limit)), total)
        found = await _candidates(connection, by.tenant_id, request)
    return _page(shown(found), request)


async def get_user(context: Context, by: Caller, user_id: str) -> ScimUser:
    """One user."""
    _require(by)
    async with context.database.tenant(by.tenant_id) as connection:
        return await _shown(connection, by, _id(user_id))


async def create_user(context: Context, by: Caller, payload: Mapping[str, Any]) -> ScimUser:
    """A new user, who joins by signing in at the tenant's provider, or else by an invitation."""
    _require(by, "create")
    wanted = rules.wanted(rules.read(ScimUser, payload, ScimContext.RESOURCE_CREATION_REQUEST))
    _check(wanted)
    async with context.database.tenant(by.tenant_id) as connection:
        user = await _insert(context, connection, by, wanted)
        shown = await _shown(connection, by, user.id)
    context.post.wake()
    return shown


async def replace_user(
    context: Context, by: Caller, user_id: str, payload: Mapping[str, Any], if_match: str | None
) -> ScimUser:
    """A user as the directory has it."""

    def given(_: ScimUser) -> ScimUser:
        return rules.read(ScimUser, payload, ScimContext.RESOURCE_REPLACEMENT_REQUEST)

    return await _write_user(context, by, user_id, given, if_match)


async def patch_user(
    context: Context, by: Caller, user_id: str, payload: Mapping[str, Any], if_match: str | None
) -> ScimUser:
    """A user with changes."""
    return await _write_user(context, by, user_id, lambda it: rules.patched(ScimUser, it, payload), if_match)


async def delete_user(context: Context, by: Caller, user_id: str, if_match: str | None) -> None:
    """Deletes a user and ends their sessions."""
    _match(await get_user(context, by, user_id), if_match)
    try:
        await user_cases.delete(context, by.principal, by.permissions, _id(user_id))
    except NotFound:
        raise NotFoundException from None


async def find_groups(context: Context, by: Caller, request: SearchRequest[Any]) -> Found:
    """Roles that fit a filter. Members are left out where they are excluded."""
    _require(by)
    async with context.database.tenant(by.tenant_id) as connection:
        found = await _groups(connection, by, with_members=_wants_members(request))
    return _page(found, request)


async def get_group(context: Context, by: Caller, role_id: str, request: SearchRequest[Any]) -> ScimGroup:
    """One role."""
    _require(by)
    async with context.database.tenant(by.tenant_id) as connection:
        found = await _groups(connection, by, only=_id(role_id), with_members=_wants_members(request))
    return _one(found)


async def create_group(context: Context, by: Caller, payload: Mapping[str, Any]) -> ScimGroup:
    """A new role, which gives nothing until somebody grants it something."""
    _require(by)
    given = rules.read(ScimGroup, payload, ScimContext.RESOURCE_CREATION_REQUEST)
    _check_external(given.external_id)
    role = await role_cases.create(context, by.principal, by.permissions, role_cases.NewRole(given.display_name or ""))
    return await _settle_group(context, by, role.id, given)


async def replace_group(
    context: Context, by: Caller, role_id: str, payload: Mapping[str, Any], if_match: str | None
) -> ScimGroup:
    """A role's name and who has it, as the directory has it."""

    def given(_: ScimGroup) -> ScimGroup:
        return rules.read(ScimGroup, payload, ScimContext.RESOURCE_REPLACEMENT_REQUEST)

    return await _write_group(context, by, role_id, given, if_match)


async def patch_group(
    context: Context, by: Caller, role_id: str, payload: Mapping[str, Any], if_match: str | None
) -> ScimGroup:
    """A role's name and who has it, with changes."""
    return await _write_group(context, by, role_id, lambda it: rules.patched(ScimGroup, it, payload), if_match)


async def delete_group(context: Context, by: Caller, role_id: str, if_match: str | None) -> None:
    """Takes a role from everyone and deletes it."""
    _require(by, "update")
    by.permissions.require("delete", "roles")
    async with context.database.tenant(by.tenant_id) as connection:
        await organizations.lock(connection, by.tenant_id)
        group = _one(await _groups(connection, by, only=_id(role_id)))
        _match(group, if_match)
        role = (await roles.catalogue(connection, by.tenant_id))[_id(role_id)]
        if role.seeded:
            raise MutabilityException(detail="The roles that every organization begins with stay")
        await _set_members(context, connection, by, role, set(rules.member_ids(group)), set())
    await role_cases.delete(context, by.principal, by.permissions, role.id)


async def _write_user(
    context: Context, by: Caller, user_id: str, change: Callable[[ScimUser], ScimUser], if_match: str | None
) -> ScimUser:
    _require(by, "update")
    async with context.database.tenant(by.tenant_id) as connection:
        await organizations.lock(connection, by.tenant_id)
        before = await _shown(connection, by, _id(user_id))
        _match(before, if_match)
        wanted = rules.wanted(change(before.model_copy(deep=True)), before)
        _check(wanted)
        user = await users.get(connection, by.tenant_id, _id(user_id))
        assert user is not None
        given = user_cases.Change(wanted.email, wanted.name, wanted.locale, _status(user, wanted))
        await user_cases.change_within(context, connection, by.principal, by.permissions, user.id, given)
        await scim.put_user(connection, by.tenant_id, user.id, wanted.external_id)
        shown = await _shown(connection, by, user.id)
    context.post.wake()
    return shown


async def _write_group(
    context: Context, by: Caller, role_id: str, change: Callable[[ScimGroup], ScimGroup], if_match: str | None
) -> ScimGroup:
    _require(by, "update")
    async with context.database.tenant(by.tenant_id) as connection:
        before = _one(await _groups(connection, by, only=_id(role_id)))
    _match(before, if_match)
    wanted = change(before.model_copy(deep=True))
    _check_external(wanted.external_id)
    if wanted.display_name != before.display_name:
        named = role_cases.Change(name=wanted.display_name)
        await role_cases.change(context, by.principal, by.permissions, _id(role_id), named)
    return await _settle_group(context, by, _id(role_id), wanted, before)


async def _settle_group(
    context: Context, by: Caller, role_id: UUID, wanted: ScimGroup, before: ScimGroup | None = None
) -> ScimGroup:
    """Gives and takes a role, as far as the directory changes who has it."""
    had = set(rules.member_ids(before)) if before else set()
    async with context.database.tenant(by.tenant_id) as connection:
        await organizations.lock(connection, by.tenant_id)
        role = (await roles.catalogue(connection, by.tenant_id)).get(role_id)
        if role is None:
            raise NotFoundException
        has = set(rules.member_ids(wanted))
        await _set_members(context, connection, by, role, had - has, has - had)
        await scim.put_role(connection, by.tenant_id, role_id, wanted.external_id)
        shown = _one(await _groups(connection, by, only=role_id))
    context.post.wake()
    return shown


async def _set_members(
    context: Context, connection: Connection, by: Caller, role: Role, gone: set[str], come: set[str]
) -> None:
    if len(gone) + len(come) > rules.MAX_CHANGED:
        raise TooManyException(detail=f"At most {rules.MAX_CHANGED} members change at once")
    for member in sorted(gone | come):
        user = await users.get(connection, by.tenant_id, _member_id(member))
        if user is None:
            if member in gone:
                continue
            raise InvalidValueException(detail=f"There is no user '{member}'")
        ids = {*user.roles, role.id} if member in come else set(user.roles) - {role.id}
        change = user_cases.Change(roles=[str(it) for it in sorted(ids)])
        await user_cases.change_within(context, connection, by.principal, by.permissions, user.id, change)


async def _insert(context: Context, connection: Connection, by: Caller, wanted: Wanted) -> User:
    tenant_id, now = by.tenant_id, clock.now()
    await organizations.lock(connection, tenant_id)
    organization = require_active(await organizations.get(connection, tenant_id))
    catalogue = await roles.catalogue(connection, tenant_id)
    chosen = role_rules.choose(catalogue, (seeds.MEMBER,))
    grants.require_covered(by.permissions, role_rules.flatten_all(catalogue, chosen))
    status: UserStatus = "deactivated" if wanted.active is False else "invited"
    locale = wanted.locale or organization.locale
    user = User(new_id(), wanted.email, wanted.name, locale, status, now, now, None, chosen)
    await user_cases.require_room(connection, organization)
    await users.insert(connection, tenant_id, user, None)
    await scim.put_user(connection, tenant_id, user.id, wanted.external_id)
    await outbox.record(connection, tenant_id, [events.user("created", user)])
    domain = user.email.rpartition("@")[2]
    providers = await sso.providers(connection, tenant_id)
    elsewhere = any(it.enabled and domain in it.configuration.email_domains for it in providers)
    if status == "invited" and not elsewhere:
        await mailed.send(context, connection, tenant_id, user, "invitation")
    details = {"email": user.email, "roles": [catalogue[it].slug for it in chosen]}
    await context.audit.note(
        connection, tenant_id, "user.provisioned", of_principal(by.principal), of_user(user), details=details
    )
    return user


async def _shown(connection: Connection, by: Caller, user_id: UUID) -> ScimUser:
    user = await users.get(connection, by.tenant_id, user_id)
    if user is None:
        raise NotFoundException
    catalogue: Catalogue = await roles.catalogue(connection, by.tenant_id)
    return rules.of_user((await scim.kept(connection, by.tenant_id, [user]))[0], catalogue, by.base)


async def _groups(
    connection: Connection, by: Caller, *, only: UUID | None = None, with_members: bool = True
) -> list[ScimGroup]:
    catalogue = await roles.catalogue(connection, by.tenant_id)
    wanted = [role for role in catalogue.values() if only in (None, role.id)]
    called = await scim.role_names(connection, by.tenant_id)
    ids = [role.id for role in wanted] if with_members else []
    members = await scim.members(connection, by.tenant_id, ids, rules.MAX_MEMBERS + 1)
    if len(members) > rules.MAX_MEMBERS:
        raise TooManyException(detail="There are too many members; ask with excludedAttributes=members")
    return [
        rules.of_role(role, called.get(role.id), (it for it in members if it.role_id == role.id), by.base)
        for role in wanted
    ]


async def _candidates(connection: Connection, tenant_id: UUID, request: SearchRequest[Any]) -> list[Kept]:
    """Those among whom a filter has to look."""
    plain = rules.exactly(request, "username", "emails", "emails.value", "externalid", "id")
    if plain is None:
        if await users.count(connection, tenant_id) > rules.MAX_SCANNED:
            raise TooManyException(detail="Filter by userName, externalId or id: there are too many users")
        return await scim.page(connection, tenant_id, 0, rules.MAX_SCANNED)
    attribute, value = plain
    if attribute == "externalid":
        return await scim.called(connection, tenant_id, value)
    if attribute == "id":
        user = await users.get(connection, tenant_id, _member_id(value)) if _is_id(value) else None
        return await scim.kept(connection, tenant_id, [user] if user else [])
    known = await users.credentials(connection, tenant_id, people.normalize_email(value))
    user = await users.get(connection, tenant_id, known.id) if known else None
    return await scim.kept(connection, tenant_id, [user] if user else [])


def _page(found: Sequence[R], request: SearchRequest[Any]) -> Found:
    fitting = [it for it in found if request.filter is None or request.filter.match(it)]
    offset, limit = _window(request)
    return Found(request.sort(fitting)[offset : offset + limit], len(fitting))


def _window(request: SearchRequest[Any]) -> tuple[int, int]:
    count = 50 if request.count is None else min(request.count, rules.MAX_PAGE)
    return (request.start_index or 1) - 1, count


def _wants_members(request: SearchRequest[Any]) -> bool:
    excluded = {str(it).lower() for it in request.excluded_attributes or ()}
    return "members" not in {name.rpartition(":")[2] for name in excluded}


def _status(user: User, wanted: Wanted) -> UserStatus | None:
    """Who has not joined is active to the directory, and stays invited."""
    if wanted.active is False:
        return "deactivated"
    return "active" if wanted.active and user.status == "deactivated" else None


def _check(wanted: Wanted) -> None:
    _check_external(wanted.external_id)
    faults = [*people.check_email(wanted.email), *people.check_name(wanted.name)]
    faults += people.check_locale(wanted.locale) if wanted.locale is not None else []
    if faults:
        raise Invalid(errors=faults)


def _check_external(external_id: str | None) -> None:
    if external_id is not None and (len(external_id) > rules.MAX_EXTERNAL_ID or "\x00" in external_id):
        raise InvalidValueException(detail=f"externalId has at most {rules.MAX_EXTERNAL_ID} characters")


def _match(resource: ScimUser | ScimGroup, if_match: str | None) -> None:
    if not rules.fresh(resource, if_match):
        raise PreconditionFailedException


def _one(found: Sequence[ScimGroup]) -> ScimGroup:
    if not found:
        raise NotFoundException
    return found[0]


def _id(text: str) -> UUID:
    try:
        return parse_id(text)
    except NotFound:
        raise NotFoundException from None


def _member_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InvalidValueException(detail=f"'{text[:50]}' is not an id") from None


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _require(by: Caller, action: str = "read") -> None:
    """Provisioning takes managing users: it sees and changes everyone."""
    by.permissions.require("manage", "users")
    by.permissions.require(action, "users")
