"""`/roles`: what people may do, under names."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET, Meta, UnsetType

from libs.common import pages
from libs.common.clock import rfc3339
from libs.common.conditions import IfMatch, IfNoneMatch, etag, unchanged, versions
from libs.common.http import Input
from libs.common.identity import Principal
from libs.common.ids import parse_id
from libs.common.pages import Count, Page
from libs.common.permissions import Action, Grant, Permissions
from services.auth.domain import listing
from services.auth.domain.roles import Role
from services.auth.usecases import roles
from services.auth.usecases.context import Context

SORTED_BY = ("id", "slug", "name", "version", "created_at", "updated_at")


class GrantInput(Input):
    """Actions on a kind of resource, of one pipeline or of all.

    `row_rule` is a filter tree that a record must satisfy, `presets` are values set at creation.
    """

    resource: str
    actions: Annotated[tuple[Action, ...], Meta(max_length=8)]
    pipeline_id: UUID | None = None
    row_rule: dict[str, object] | None = None
    readable_fields: frozenset[str] | None = None
    writable_fields: frozenset[str] | None = None
    presets: dict[str, object] | None = None


class RoleInput(Input):
    """A new role; without a slug it gets one from its name."""

    name: str
    slug: str | None = None
    inherits: tuple[UUID, ...] = ()
    grants: Annotated[list[GrantInput], Meta(description="What the role gives")] = msgspec.field(default_factory=list)


class RolePatch(Input):
    """A merge patch (RFC 7396) of a role."""

    name: str | UnsetType = UNSET
    inherits: tuple[UUID, ...] | UnsetType = UNSET
    grants: list[GrantInput] | UnsetType = UNSET


class RoleAnswer(msgspec.Struct, frozen=True):
    """A role with its own grants; those that it inherits are not repeated."""

    id: UUID
    slug: str
    name: str
    seeded: bool
    inherits: tuple[UUID, ...]
    grants: tuple[Grant, ...]
    version: int
    created_at: str
    updated_at: str


class RolesController(Controller):
    """What people may do, under names."""

    path = "/roles"
    tags = ["Roles"]  # noqa: RUF012

    @get(summary="List roles")
    async def listed(
        self,
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
        limit: FromQuery[int] = pages.DEFAULT_LIMIT,
        cursor: FromQuery[str | None] = None,
        count: FromQuery[Count] = "none",
        sort: FromQuery[str | None] = None,
        fields: FromQuery[str | None] = None,
    ) -> Page[RoleAnswer]:
        """The roles of the organization, at most 200, by `sort` (`name,-version`) and with some of their `fields`."""
        limit, keys = pages.check_limit(limit), listing.order(sort, SORTED_BY)
        after = listing.after(keys, cursor)
        found = await roles.listed(auth, principal, permissions)
        rest = listing.rest(found, keys, after)
        following = listing.cursor_of(keys, rest[limit - 1]) if len(rest) > limit else None
        items = listing.only([_answer(role) for role in rest[:limit]], fields)
        return Page(items, following, None if count == "none" else len(found))

    @post(summary="Make a role")
    async def create(
        self,
        data: JSONBody[RoleInput],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> Response[RoleAnswer | None]:
        """Makes a role that gives nothing beyond what the one who asks may do."""
        given = roles.NewRole(data.name, data.slug, data.inherits, _grants(data.grants))
        return _tagged(await roles.create(auth, principal, permissions, given), status=201)

    @get("/{role_id:str}", summary="Get a role")
    async def one(
        self,
        role_id: FromPath[str],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
        if_none_match: IfNoneMatch = None,
    ) -> Response[RoleAnswer | None]:
        """One role."""
        return _tagged(await roles.get(auth, principal, permissions, parse_id(role_id)), if_none_match)

    @patch("/{role_id:str}", summary="Change a role")
    async def change(
        self,
        role_id: FromPath[str],
        data: JSONBody[RolePatch],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
        if_match: IfMatch = None,
    ) -> Response[RoleAnswer | None]:
        """Changes a role, and with it all roles that inherit from it."""
        given = roles.Change(
            name=None if data.name is UNSET else data.name,
            inherits=None if data.inherits is UNSET else data.inherits,
            grants=None if data.grants is UNSET else _grants(data.grants),
        )
        known = versions(if_match)
        return _tagged(await roles.change(auth, principal, permissions, parse_id(role_id), given, known))

    @delete("/{role_id:str}", summary="Delete a role")
    async def remove(
        self,
        role_id: FromPath[str],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
        if_match: IfMatch = None,
    ) -> None:
        """Deletes a role that nobody has and nothing inherits from; the first five stay."""
        await roles.delete(auth, principal, permissions, parse_id(role_id), versions(if_match))


def _grants(given: list[GrantInput]) -> tuple[Grant, ...]:
    return tuple(Grant(**msgspec.structs.asdict(grant)) for grant in given)


def _answer(it: Role) -> RoleAnswer:
    return RoleAnswer(
        it.id, it.slug, it.name, it.seeded, it.inherits, it.grants, it.version,
        rfc3339(it.created_at), rfc3339(it.updated_at),
    )  # fmt: skip


def _tagged(it: Role, if_none_match: str | None = None, status: int = 200) -> Response[RoleAnswer | None]:
    if unchanged(if_none_match, it.version):
        return Response(None, status_code=304, headers=etag(it.version))
    return Response(_answer(it), status_code=status, headers=etag(it.version))
