"""Provisioning of roles: groups, as a directory elsewhere wants their names and members."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from scim2_models import Context as ScimContext
from scim2_models import (
    InvalidValueException,
    MutabilityException,
    NotFoundException,
    SearchRequest,
    TooManyException,
)

from libs.common.postgres import Connection
from services.auth.domain import scim as rules
from services.auth.domain.roles import Role
from services.auth.domain.scim import ScimGroup
from services.auth.storage import organizations, roles, scim, users
from services.auth.usecases import roles as role_cases
from services.auth.usecases import users as user_cases
from services.auth.usecases.context import Context
from services.auth.usecases.scim import Caller, Found, check_external, match, member_id, page, require, resource_id


async def find_groups(context: Context, by: Caller, request: SearchRequest[Any]) -> Found:
    """Roles that fit a filter. Members are left out where they are excluded."""
    require(by)
    async with context.database.tenant(by.tenant_id) as connection:
        found = await _groups(connection, by, with_members=_wants_members(request))
    return page(found, request)


async def get_group(context: Context, by: Caller, role_id: str, request: SearchRequest[Any]) -> ScimGroup:
    """One role."""
    require(by)
    async with context.database.tenant(by.tenant_id) as connection:
        found = await _groups(connection, by, only=resource_id(role_id), with_members=_wants_members(request))
    return _one(found)


async def create_group(context: Context, by: Caller, payload: Mapping[str, Any]) -> ScimGroup:
    """A new role, which gives nothing until somebody grants it something."""
    require(by)
    given = rules.read(ScimGroup, payload, ScimContext.RESOURCE_CREATION_REQUEST)
    check_external(given.external_id)
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
    require(by, "update")
    by.permissions.require("delete", "roles")
    async with context.database.tenant(by.tenant_id) as connection:
        await organizations.lock(connection, by.tenant_id)
        group = _one(await _groups(connection, by, only=resource_id(role_id)))
        match(group, if_match)
        role = (await roles.catalogue(connection, by.tenant_id))[resource_id(role_id)]
        if role.seeded:
            raise MutabilityException(detail="The roles that every organization begins with stay")
        await _set_members(context, connection, by, role, set(rules.member_ids(group)), set())
    await role_cases.delete(context, by.principal, by.permissions, role.id)


async def _write_group(
    context: Context, by: Caller, role_id: str, change: Callable[[ScimGroup], ScimGroup], if_match: str | None
) -> ScimGroup:
    require(by, "update")
    async with context.database.tenant(by.tenant_id) as connection:
        before = _one(await _groups(connection, by, only=resource_id(role_id)))
    match(before, if_match)
    wanted = change(before.model_copy(deep=True))
    check_external(wanted.external_id)
    if wanted.display_name != before.display_name:
        named = role_cases.Change(name=wanted.display_name)
        await role_cases.change(context, by.principal, by.permissions, resource_id(role_id), named)
    return await _settle_group(context, by, resource_id(role_id), wanted, before)


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
        user = await users.get(connection, by.tenant_id, member_id(member))
        if user is None:
            if member in gone:
                continue
            raise InvalidValueException(detail=f"There is no user '{member}'")
        ids = {*user.roles, role.id} if member in come else set(user.roles) - {role.id}
        change = user_cases.Change(roles=[str(it) for it in sorted(ids)])
        await user_cases.change_within(context, connection, by.principal, by.permissions, user.id, change)


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


def _wants_members(request: SearchRequest[Any]) -> bool:
    excluded = {str(it).lower() for it in request.excluded_attributes or ()}
    return "members" not in {name.rpartition(":")[2] for name in excluded}


def _one(found: Sequence[ScimGroup]) -> ScimGroup:
    if not found:
        raise NotFoundException
    return found[0]
