"""Roles: made, changed and deleted, and every role that is changed by it announced."""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from libs.common import clock, conditions, outbox
from libs.common.errors import Conflict, Fault, Invalid, NotFound
from libs.common.events import encode
from libs.common.identity import Principal
from libs.common.ids import new_id
from libs.common.permissions import Grant, Permissions, RoleGrants
from libs.common.postgres import Connection
from libs.common.roles import HINTS
from libs.common.transactions import after_commit
from services.auth.domain import events, people, seeds
from services.auth.domain import grants as grant_rules
from services.auth.domain import roles as rules
from services.auth.domain.audit import Party, of_principal
from services.auth.domain.roles import Role
from services.auth.storage import api_keys, organizations, roles, users
from services.auth.usecases import api_keys as keys
from services.auth.usecases.context import Context


class NewRole(msgspec.Struct, frozen=True):
    """A role to be; without a slug it gets one from its name."""

    name: str
    slug: str | None = None
    inherits: tuple[UUID, ...] = ()
    grants: tuple[Grant, ...] = ()


class Change(msgspec.Struct, frozen=True):
    """What changes of a role; None leaves as it is."""

    name: str | None = None
    inherits: tuple[UUID, ...] | None = None
    grants: tuple[Grant, ...] | None = None


async def listed(context: Context, principal: Principal, permissions: Permissions) -> list[Role]:
    """All roles of the tenant, in the order of their ids."""
    permissions.require("read", "roles")
    async with context.database.tenant(principal.tenant_id) as connection:
        return list((await roles.catalogue(connection, principal.tenant_id)).values())


async def get(context: Context, principal: Principal, permissions: Permissions, role_id: UUID) -> Role:
    """One role."""
    permissions.require("read", "roles")
    async with context.database.tenant(principal.tenant_id) as connection:
        return _present(await roles.catalogue(connection, principal.tenant_id), role_id)


async def create(context: Context, principal: Principal, permissions: Permissions, given: NewRole) -> Role:
    """A new role, which gives nothing beyond what the principal may do."""
    permissions.require("create", "roles")
    slug = given.slug or rules.slug_of(given.name)
    faults = [*people.check_name(given.name), *rules.check_slug(slug), *grant_rules.check(given.grants)]
    async with context.database.tenant(principal.tenant_id) as connection:
        catalogue = await _lock(connection, principal.tenant_id)
        _refuse([*faults, *rules.check_inherits(catalogue, None, given.inherits)])
        if len(catalogue) >= rules.MAX_ROLES:
            raise Conflict(f"An organization has at most {rules.MAX_ROLES} roles", code="too-many-roles")
        now = clock.now()
        role = Role(new_id(), slug, given.name.strip(), False, given.inherits, given.grants, 1, now, now)
        catalogue[role.id] = role
        grant_rules.require_covered(permissions, rules.flatten(catalogue, role.id))
        await roles.insert(connection, principal.tenant_id, role)
        await _announce(connection, principal.tenant_id, "created", [rules.announced(catalogue, role)])
        await _note(context, connection, principal, "created", role)
    return role


async def change(
    context: Context, principal: Principal, permissions: Permissions, role_id: UUID, given: Change,
    expected: Collection[int] | None = None,
) -> Role:  # fmt: skip
    """Changes a role of one of these versions, and with it all that inherit from it."""
    permissions.require("update", "roles")
    faults = [
        *(people.check_name(given.name) if given.name is not None else ()),
        *(grant_rules.check(given.grants) if given.grants is not None else ()),
    ]
    async with context.database.tenant(principal.tenant_id) as connection:
        catalogue = await _lock(connection, principal.tenant_id)
        before = _present(catalogue, role_id)
        conditions.check(before.version, expected)
        _refuse([*faults, *rules.check_inherits(catalogue, role_id, given.inherits or ())])
        after = _changed(before, given)
        if after == before:
            return before
        if after.slug == seeds.OWNER and (after.grants, after.inherits) != (before.grants, before.inherits):
            raise Conflict("What the owner may do cannot be changed", code="owner-role")
        grant_rules.require_covered(permissions, rules.flatten(catalogue, role_id))
        catalogue[role_id] = after
        grant_rules.require_covered(permissions, rules.flatten(catalogue, role_id))
        changed = await _write_heirs(connection, principal.tenant_id, catalogue, role_id, clock.now())
        heirs = [heir.id for heir in changed]
        by = of_principal(principal)
        await keys.end_beyond_roles(context, connection, principal.tenant_id, by, catalogue, heirs)
        await _note(context, connection, principal, "updated", catalogue[role_id])
    await _hint(context, principal.tenant_id, changed)
    return catalogue[role_id]


async def delete(
    context: Context, principal: Principal, permissions: Permissions, role_id: UUID,
    expected: Collection[int] | None = None,
) -> None:  # fmt: skip
    """Deletes a role of one of these versions, that nobody has and nothing inherits from."""
    permissions.require("delete", "roles")
    async with context.database.tenant(principal.tenant_id) as connection:
        catalogue = await _lock(connection, principal.tenant_id)
        role = _present(catalogue, role_id)
        conditions.check(role.version, expected)
        if role.seeded:
            raise Conflict("The roles that every organization begins with stay", code="seeded-role")
        grant_rules.require_covered(permissions, rules.flatten(catalogue, role_id))
        if len(rules.heirs(catalogue, role_id)) > 1:
            raise Conflict("Other roles inherit from the role", code="role-in-use")
        if await users.members(connection, principal.tenant_id, role_id):
            raise Conflict("There are users who have the role", code="role-in-use")
        if await api_keys.with_role(connection, principal.tenant_id, role_id):
            raise Conflict("There are API keys or devices that have the role", code="role-in-use")
        await roles.delete(connection, principal.tenant_id, role_id)
        gone = msgspec.structs.replace(role, version=role.version + 1)
        await _announce(connection, principal.tenant_id, "deleted", [rules.announced(catalogue, gone, deleted=True)])
        await _note(context, connection, principal, "deleted", role)


async def flattened(context: Context, tenant_id: UUID, role_id: UUID) -> RoleGrants:
    """What a role adds up to, as other services ask."""
    async with context.database.tenant(tenant_id) as connection:
        catalogue = await roles.catalogue(connection, tenant_id)
    return rules.announced(catalogue, _present(catalogue, role_id))


async def _write_heirs(
    connection: Connection, tenant_id: UUID, catalogue: dict[UUID, Role], role_id: UUID, now: datetime
) -> list[RoleGrants]:
    for heir in rules.heirs(catalogue, role_id):
        catalogue[heir.id] = msgspec.structs.replace(heir, version=heir.version + 1, updated_at=now)
        await roles.update(connection, tenant_id, catalogue[heir.id])
    changed = [rules.announced(catalogue, heir) for heir in rules.heirs(catalogue, role_id)]
    await _announce(connection, tenant_id, "updated", changed)
    return changed


async def _hint(context: Context, tenant_id: UUID, changed: Sequence[RoleGrants]) -> None:
    """Has other processes know before this is answered: what a role gives now is used in the next request."""
    encoded = [encode(tenant_id, events.role("updated", role))[2].encode() for role in changed]
    told: list[asyncio.Task[None]] = []
    after_commit(lambda: told.append(asyncio.create_task(context.bus.hint(HINTS, encoded))))
    await asyncio.gather(*told)


async def _announce(connection: Connection, tenant_id: UUID, verb: str, changed: Iterable[RoleGrants]) -> None:
    for role in changed:
        await roles.write_flattened(connection, tenant_id, role)
        await outbox.record(connection, tenant_id, [events.role(verb, role)])


async def _note(context: Context, connection: Connection, principal: Principal, verb: str, role: Role) -> None:
    details = {"version": role.version, "grants": msgspec.to_builtins(role.grants)} if verb != "deleted" else {}
    by, target = of_principal(principal), Party("role", role.id, role.name)
    await context.audit.note(connection, principal.tenant_id, f"role.{verb}", by, target, details=details)


async def _lock(connection: Connection, tenant_id: UUID) -> dict[UUID, Role]:
    await organizations.lock(connection, tenant_id)
    return await roles.catalogue(connection, tenant_id)


def _changed(before: Role, given: Change) -> Role:
    return msgspec.structs.replace(
        before,
        name=before.name if given.name is None else given.name.strip(),
        inherits=before.inherits if given.inherits is None else given.inherits,
        grants=before.grants if given.grants is None else given.grants,
    )


def _present(catalogue: dict[UUID, Role], role_id: UUID) -> Role:
    if role_id not in catalogue:
        raise NotFound
    return catalogue[role_id]


def _refuse(faults: Sequence[Fault]) -> None:
    if faults:
        raise Invalid(errors=list(faults))
