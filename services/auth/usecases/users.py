"""People of a tenant, and what they may do."""

from collections.abc import Callable, Collection, Sequence
from typing import Any
from uuid import UUID

import msgspec

from libs.common import clock, conditions, outbox, plans
from libs.common.errors import Conflict, Invalid, NotFound
from libs.common.events import NewEvent
from libs.common.identity import Principal
from libs.common.ids import new_id
from libs.common.permissions import Grant, Permissions
from libs.common.postgres import Connection
from services.auth.domain import events, grants, people, seeds
from services.auth.domain import roles as rules
from services.auth.domain.audit import Party, of_principal, of_user
from services.auth.domain.listing import Key
from services.auth.domain.mails import Purpose
from services.auth.domain.organizations import Organization
from services.auth.domain.people import User, UserStatus
from services.auth.domain.roles import Catalogue
from services.auth.storage import organizations, roles, sessions, users
from services.auth.usecases import api_keys, mailed
from services.auth.usecases.context import Context
from services.auth.usecases.credentials import least_password

EVERYTHING = Permissions([Grant("*", ("*",))])


class NewUser(msgspec.Struct, frozen=True):
    """A person to be; roles by id or slug. Without a password an invitation goes out."""

    email: str
    name: str
    password: str | None
    roles: Sequence[str] = (seeds.MEMBER,)
    locale: str | None = None


class Change(msgspec.Struct, frozen=True):
    """What changes of a user; None leaves as it is."""

    email: str | None = None
    name: str | None = None
    locale: str | None = None
    status: UserStatus | None = None
    roles: Sequence[str] | None = None


class People(msgspec.Struct, frozen=True):
    """Users with all roles of their tenant, to name those that they have."""

    users: list[User]
    catalogue: Catalogue
    count: int | None = None


async def page(
    context: Context, principal: Principal, permissions: Permissions, keys: Sequence[Key],
    after: Sequence[object] | None, limit: int, *, count: bool,
) -> People:  # fmt: skip
    """Users in an order, behind a row of these values."""
    permissions.require("read", "users")
    async with context.database.tenant(principal.tenant_id) as connection:
        found = await users.in_order(connection, principal.tenant_id, keys, after, limit)
        total = await users.count(connection, principal.tenant_id) if count else None
        return People(found, await roles.catalogue(connection, principal.tenant_id), total)


async def get(context: Context, principal: Principal, permissions: Permissions, user_id: UUID) -> People:
    """One user. Everyone may see themselves."""
    if user_id != principal.id:
        permissions.require("read", "users")
    async with context.database.tenant(principal.tenant_id) as connection:
        found = _present(await users.get(connection, principal.tenant_id, user_id))
        return People([found], await roles.catalogue(connection, principal.tenant_id))


async def named(context: Context, tenant_id: UUID, user: User) -> People:
    """A user who is known, with the roles of its tenant."""
    async with context.database.tenant(tenant_id) as connection:
        return People([user], await roles.catalogue(connection, tenant_id))


async def create(context: Context, principal: Principal, permissions: Permissions, given: NewUser) -> People:
    """A new user, with roles that give nothing beyond what the principal may do."""
    permissions.require("create", "users")
    return await add(context, principal.tenant_id, permissions, given, by=of_principal(principal))


async def add(
    context: Context, tenant_id: UUID, giver: Permissions, given: NewUser, *, by: Party | None = None,
    verified: bool = False,
) -> People:  # fmt: skip
    """A new user, as an operator or one who may makes it; `verified` where somebody vouches for the address."""
    email = people.normalize_email(given.email)
    faults = [*people.check_email(email), *people.check_name(given.name)]
    if given.password is not None:
        async with context.database.tenant(tenant_id) as connection:
            least = await least_password(connection, tenant_id)
        faults += people.check_password(given.password, (email, given.name), least=least)
    faults += people.check_locale(given.locale) if given.locale is not None else []
    if faults:
        raise Invalid(errors=faults)
    password_hash = None if given.password is None else await context.hasher.hash(given.password)
    now = clock.now()
    async with context.database.tenant(tenant_id) as connection:
        organization = await organizations.get(connection, tenant_id)
        if organization is None:
            raise NotFound("There is no such organization", code="tenant-not-found")
        await organizations.lock(connection, tenant_id)
        catalogue = await roles.catalogue(connection, tenant_id)
        chosen = rules.choose(catalogue, given.roles)
        grants.require_covered(giver, rules.flatten_all(catalogue, chosen))
        locale = given.locale or organization.locale
        status: UserStatus = "active" if password_hash else "invited"
        since = now if verified else None
        await require_room(connection, organization)
        user = User(new_id(), email, given.name.strip(), locale, status, now, now, since, chosen)
        await users.insert(connection, tenant_id, user, password_hash)
        await outbox.record(connection, tenant_id, [events.user("created", user)])
        if not verified:
            purpose: Purpose = "email_verification" if password_hash else "invitation"
            await mailed.send(context, connection, tenant_id, user, purpose)
        action = "user.created" if password_hash else "user.invited"
        details = {"email": email, "roles": [catalogue[it].slug for it in chosen]}
        await context.audit.note(connection, tenant_id, action, by, of_user(user), details=details)
    context.post.wake()
    return People([user], catalogue)


async def require_room(connection: Connection, organization: Organization) -> None:
    """Refuses another user than the plan allows, within a transaction that holds the organization's lock."""
    limit = organization.limits.users
    if limit is not None:
        plans.require_room("users", limit, await users.count(connection, organization.id))


async def invited(context: Context, principal: Principal, permissions: Permissions, after: UUID, limit: int) -> People:
    """Users who have not joined yet."""
    permissions.require("read", "users")
    async with context.database.tenant(principal.tenant_id) as connection:
        found = await users.invited(connection, principal.tenant_id, after, limit)
        return People(found, await roles.catalogue(connection, principal.tenant_id))


async def count_invited(context: Context, principal: Principal, permissions: Permissions) -> int:
    """How many users have not joined yet."""
    permissions.require("read", "users")
    async with context.database.tenant(principal.tenant_id) as connection:
        return await users.count_invited(connection, principal.tenant_id)


async def withdraw(context: Context, principal: Principal, permissions: Permissions, user_id: UUID) -> None:
    """Takes an invitation back that was not accepted."""
    permissions.require("delete", "users")
    async with context.database.tenant(principal.tenant_id) as connection:
        user = await users.get(connection, principal.tenant_id, user_id)
    if user is None or user.status != "invited":
        raise NotFound
    await delete(context, principal, permissions, user_id)


async def change(
    context: Context, principal: Principal, permissions: Permissions, user_id: UUID, given: Change,
    expected: Collection[int] | None = None,
) -> People:  # fmt: skip
    """Changes a user, of one of these versions. Nobody changes one who may do more than they, nor gives or takes a role
    beyond their own.
    """
    async with context.database.tenant(principal.tenant_id) as connection:
        found = await change_within(context, connection, principal, permissions, user_id, given, expected)
    context.post.wake()
    return found


async def change_within(
    context: Context, connection: Connection, principal: Principal, permissions: Permissions, user_id: UUID,
    given: Change, expected: Collection[int] | None = None,
) -> People:  # fmt: skip
    """The same within a transaction; the caller wakes the post office after it."""
    ruled = user_id != principal.id or any(it is not None for it in (given.email, given.status, given.roles))
    if ruled:
        permissions.require("update", "users")
    _check(given)
    tenant_id = principal.tenant_id
    catalogue, before = await _lock(connection, tenant_id, user_id)
    conditions.check(before.version, expected)
    chosen = before.roles if given.roles is None else rules.choose(catalogue, given.roles)
    if ruled:
        own = set(before.roles) if user_id == principal.id else set()
        grants.require_covered(permissions, rules.flatten_all(catalogue, {*before.roles, *chosen} - own))
    after = _changed(before, given, chosen)
    if after == before:
        return People([before], catalogue)
    if before.status == "invited" and after.status == "active":
        raise Conflict("The user joins by the invitation", code="not-joined")
    await _keep_an_owner(connection, tenant_id, catalogue, before, after)
    after = msgspec.structs.replace(after, updated_at=clock.now())
    await users.update(connection, tenant_id, after)
    if (after.status, after.roles) != (before.status, before.roles):
        await api_keys.end_beyond(
            context, connection, tenant_id, of_principal(principal), user_id, _holds(catalogue, after)
        )
    await outbox.record(connection, tenant_id, await _ended(connection, tenant_id, before, after))
    await outbox.record(connection, tenant_id, [events.user("updated", after)])
    if after.email != before.email:
        purpose: Purpose = "invitation" if after.status == "invited" else "email_verification"
        await mailed.send(context, connection, tenant_id, after, purpose)
    by, details = of_principal(principal), _differences(catalogue, before, after)
    await context.audit.note(connection, tenant_id, "user.updated", by, of_user(after), details=details)
    return People([after], catalogue)


async def take_out(
    context: Context, connection: Connection, principal: Principal, permissions: Permissions, user_id: UUID,
    told_as: Callable[[User], User] = lambda user: user,
) -> User:  # fmt: skip
    """Deletes a user within a transaction, announced under the name that `told_as` gives."""
    catalogue, user = await _lock(connection, principal.tenant_id, user_id)
    grants.require_covered(permissions, rules.flatten_all(catalogue, user.roles))
    await _keep_an_owner(connection, principal.tenant_id, catalogue, user, None)
    await api_keys.end_beyond(context, connection, principal.tenant_id, of_principal(principal), user_id, None)
    await users.delete(connection, principal.tenant_id, user_id)
    new = [events.user("deleted", told_as(user)), events.tokens_revoked(user_id)]
    await outbox.record(connection, principal.tenant_id, new)
    return user


async def delete(
    context: Context, principal: Principal, permissions: Permissions, user_id: UUID,
    expected: Collection[int] | None = None,
) -> None:  # fmt: skip
    """Deletes a user of one of these versions, and ends their sessions."""
    permissions.require("delete", "users")
    async with context.database.tenant(principal.tenant_id) as connection:
        user = await take_out(context, connection, principal, permissions, user_id)
        conditions.check(user.version, expected)
        by, details = of_principal(principal), {"email": user.email}
        await context.audit.note(connection, principal.tenant_id, "user.deleted", by, of_user(user), details=details)


def _holds(catalogue: Catalogue, user: User) -> Permissions | None:
    return Permissions(rules.flatten_all(catalogue, user.roles)) if user.status == "active" else None


async def _lock(connection: Connection, tenant_id: UUID, user_id: UUID) -> tuple[Catalogue, User]:
    await organizations.lock(connection, tenant_id)
    user = _present(await users.lock(connection, tenant_id, user_id))
    return await roles.catalogue(connection, tenant_id), user


async def _ended(connection: Connection, tenant_id: UUID, before: User, after: User) -> list[NewEvent]:
    if after.status != before.status and after.status == "deactivated":
        await sessions.revoke_all(connection, tenant_id, after.id)
        return [events.tokens_revoked(after.id)]
    return [events.tokens_revoked(after.id)] if after.roles != before.roles else []


async def _keep_an_owner(
    connection: Connection, tenant_id: UUID, catalogue: Catalogue, before: User, after: User | None
) -> None:
    owner = next(role.id for role in catalogue.values() if role.slug == seeds.OWNER)
    stays = after is not None and owner in after.roles and after.status == "active"
    if owner not in before.roles or before.status != "active" or stays:
        return
    if not await users.other_active_members(connection, tenant_id, owner, before.id):
        raise Conflict("An organization keeps at least one active owner", code="last-owner")


def _check(given: Change) -> None:
    faults = [
        *(people.check_email(people.normalize_email(given.email)) if given.email is not None else ()),
        *(people.check_name(given.name) if given.name is not None else ()),
        *(people.check_locale(given.locale) if given.locale is not None else ()),
    ]
    if faults:
        raise Invalid(errors=faults)


def _changed(before: User, given: Change, chosen: tuple[UUID, ...]) -> User:
    email = before.email if given.email is None else people.normalize_email(given.email)
    return msgspec.structs.replace(
        before,
        email=email,
        email_verified_at=before.email_verified_at if email == before.email else None,
        name=before.name if given.name is None else given.name.strip(),
        locale=before.locale if given.locale is None else given.locale,
        status=before.status if given.status is None else given.status,
        roles=chosen,
    )


def _differences(catalogue: Catalogue, before: User, after: User) -> dict[str, Any]:
    """What changed of a user, from what to what."""
    found: dict[str, Any] = {
        name: [getattr(before, name), getattr(after, name)]
        for name in ("email", "name", "locale", "status")
        if getattr(before, name) != getattr(after, name)
    }
    if before.roles != after.roles:
        found["roles"] = [[catalogue[it].slug for it in user.roles] for user in (before, after)]
    return found


def _present(user: User | None) -> User:
    if user is None:
        raise NotFound
    return user
