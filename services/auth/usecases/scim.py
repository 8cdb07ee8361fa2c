"""Provisioning of people as a directory elsewhere wants them, by a key that may manage users."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from scim2_models import Context as ScimContext
from scim2_models import (
    InvalidValueException,
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
from services.auth.domain.roles import Catalogue
from services.auth.domain.scim import Kept, ScimGroup, ScimUser, Wanted
from services.auth.storage import organizations, roles, scim, sso, users
from services.auth.usecases import mailed
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
    require(by)
    async with context.database.tenant(by.tenant_id) as connection:
        catalogue = await roles.catalogue(connection, by.tenant_id)

        def shown(found: Sequence[Kept]) -> list[ScimUser]:
            return [rules.of_user(it, catalogue, by.base) for it in found]

        if request.filter is None and request.sort_by is None:
            total = await users.count(connection, by.tenant_id)
            offset, limit = _window(request)
            return Found(shown(await scim.page(connection, by.tenant_id, offset, limit)), total)
        found = await _candidates(connection, by.tenant_id, request)
    return page(shown(found), request)


async def get_user(context: Context, by: Caller, user_id: str) -> ScimUser:
    """One user."""
    require(by)
    async with context.database.tenant(by.tenant_id) as connection:
        return await _shown(connection, by, resource_id(user_id))


async def create_user(context: Context, by: Caller, payload: Mapping[str, Any]) -> ScimUser:
    """A new user, who joins by signing in at the tenant's provider, or else by an invitation."""
    require(by, "create")
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
    match(await get_user(context, by, user_id), if_match)
    try:
        await user_cases.delete(context, by.principal, by.permissions, resource_id(user_id))
    except NotFound:
        raise NotFoundException from None


async def _write_user(
    context: Context, by: Caller, user_id: str, change: Callable[[ScimUser], ScimUser], if_match: str | None
) -> ScimUser:
    require(by, "update")
    async with context.database.tenant(by.tenant_id) as connection:
        await organizations.lock(connection, by.tenant_id)
        before = await _shown(connection, by, resource_id(user_id))
        match(before, if_match)
        wanted = rules.wanted(change(before.model_copy(deep=True)), before)
        _check(wanted)
        user = await users.get(connection, by.tenant_id, resource_id(user_id))
        assert user is not None
        given = user_cases.Change(wanted.email, wanted.name, wanted.locale, _status(user, wanted))
        await user_cases.change_within(context, connection, by.principal, by.permissions, user.id, given)
        await scim.put_user(connection, by.tenant_id, user.id, wanted.external_id)
        shown = await _shown(connection, by, user.id)
    context.post.wake()
    return shown


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
        user = await users.get(connection, tenant_id, member_id(value)) if _is_id(value) else None
        return await scim.kept(connection, tenant_id, [user] if user else [])
    known = await users.credentials(connection, tenant_id, people.normalize_email(value))
    user = await users.get(connection, tenant_id, known.id) if known else None
    return await scim.kept(connection, tenant_id, [user] if user else [])


def page(found: Sequence[R], request: SearchRequest[Any]) -> Found:
    """What fits a filter, in order, from where the page begins."""
    fitting = [it for it in found if request.filter is None or request.filter.match(it)]
    offset, limit = _window(request)
    return Found(request.sort(fitting)[offset : offset + limit], len(fitting))


def _window(request: SearchRequest[Any]) -> tuple[int, int]:
    count = 50 if request.count is None else min(request.count, rules.MAX_PAGE)
    return (request.start_index or 1) - 1, count


def _status(user: User, wanted: Wanted) -> UserStatus | None:
    """Who has not joined is active to the directory, and stays invited."""
    if wanted.active is False:
        return "deactivated"
    return "active" if wanted.active and user.status == "deactivated" else None


def _check(wanted: Wanted) -> None:
    check_external(wanted.external_id)
    faults = [*people.check_email(wanted.email), *people.check_name(wanted.name)]
    faults += people.check_locale(wanted.locale) if wanted.locale is not None else []
    if faults:
        raise Invalid(errors=faults)


def check_external(external_id: str | None) -> None:
    """Refuses names of the directory that are too long."""
    if external_id is not None and (len(external_id) > rules.MAX_EXTERNAL_ID or "\x00" in external_id):
        raise InvalidValueException(detail=f"externalId has at most {rules.MAX_EXTERNAL_ID} characters")


def match(resource: ScimUser | ScimGroup, if_match: str | None) -> None:
    """Refuses a change to what is newer than the client knows."""
    if not rules.fresh(resource, if_match):
        raise PreconditionFailedException


def resource_id(text: str) -> UUID:
    """The id in a path; what is none is not there."""
    try:
        return parse_id(text)
    except NotFound:
        raise NotFoundException from None


def member_id(text: str) -> UUID:
    """The id in a body."""
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


def require(by: Caller, action: str = "read") -> None:
    """Provisioning takes managing users: it sees and changes everyone."""
    by.permissions.require("manage", "users")
    by.permissions.require(action, "users")
