"""`/users`: the people of an organization. They are under `/admin/users` as well."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Controller, Request, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET, Meta, UnsetType

from libs.common import pages
from libs.common.conditions import IfMatch, IfNoneMatch, etag, unchanged, versions
from libs.common.http import Input
from libs.common.identity import Principal
from libs.common.ids import parse_id
from libs.common.pages import Page
from libs.common.permissions import Grant, Permissions
from services.auth.domain import listing
from services.auth.domain.roles import RoleName
from services.auth.routes.shapes import UserAnswer, client_of, role_name, user_answer
from services.auth.usecases import credentials, impersonation, mailed, second_factors, users
from services.auth.usecases import permissions as permission_cases
from services.auth.usecases.context import Context
from services.auth.usecases.impersonation import MAX_REASON
from services.auth.usecases.users import People

SORTED_BY = ("id", "email", "name", "status", "locale", "created_at", "updated_at")
Count = Literal["none", "estimated", "exact"]
RoleNames = Annotated[list[str], Meta(description="Ids or slugs of roles")]


class UserInput(Input):
    """A new user, a member unless roles are given. Without a password an invitation goes out to choose one."""

    email: str
    name: str
    password: Annotated[str, Meta(max_length=1024)] | None = None
    roles: RoleNames = msgspec.field(default_factory=lambda: ["member"])
    locale: str | None = None


class UserPatch(Input):
    """A merge patch (RFC 7396) of a user."""

    email: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    locale: str | UnsetType = UNSET
    roles: RoleNames | UnsetType = UNSET


class MePatch(Input):
    """A merge patch (RFC 7396) of what people may change of themselves."""

    name: str | UnsetType = UNSET
    locale: str | UnsetType = UNSET


class PasswordInput(Input):
    """One's password, and the one to have from now on."""

    current_password: Annotated[str, Meta(max_length=1024)]
    new_password: Annotated[str, Meta(max_length=1024)]


class PermissionsAnswer(msgspec.Struct, frozen=True):
    """What the one who asks may do: the union of these grants."""

    roles: list[RoleName]
    grants: tuple[Grant, ...]


class MeController(Controller):
    """The one who asks."""

    path = "/users/me"
    tags = ["Users"]  # noqa: RUF012

    @get(summary="Who I am")
    async def one(
        self,
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> UserAnswer:
        """The user of the token."""
        return _one(await users.get(auth, principal, permissions, principal.id))

    @patch(summary="Change my name or language")
    async def change(
        self,
        data: JSONBody[MePatch],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> UserAnswer:
        """Changes what is given."""
        return _one(await users.change(auth, principal, permissions, principal.id, _change(data)))

    @post("/password", summary="Change my password", status_code=204)
    async def change_password(
        self,
        request: Request[Any, Any, Any],
        data: JSONBody[PasswordInput],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
    ) -> None:
        """Changes one's own password and ends one's other sessions; this one goes on."""
        client = client_of(request)
        await credentials.change_password(auth, principal, data.current_password, data.new_password, client)

    @post("/email/verification", summary="Mail me a link to confirm my address", status_code=202)
    async def verify_again(self, auth: NamedDependency[Context], principal: NamedDependency[Principal]) -> None:
        """At most one a minute is sent; the newest link is the good one."""
        await mailed.verify_again(auth, principal)

    @get("/permissions", summary="What I may do")
    async def permissions(
        self,
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> PermissionsAnswer:
        """The roles of the token, and all that they grant, flattened over inheritance."""
        roles = await permission_cases.of_principal(auth, principal)
        return PermissionsAnswer([role_name(role) for role in roles], permissions.grants)


class ImpersonationInput(Input):
    """Why one acts in another's name; the other is told."""

    reason: Annotated[str, Meta(max_length=MAX_REASON)]


class ImpersonationAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An access token for `expires_in` seconds, which is not renewed; its session; and in whose name it is."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 – the name of a scheme
    expires_in: int
    session_id: UUID
    user: UserAnswer


class UsersController(Controller):
    """The people of an organization."""

    path = "/users"
    tags = ["Users"]  # noqa: RUF012

    @get(summary="List users")
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
    ) -> Page[UserAnswer]:
        """Users in the order in which they were made or by `sort` (`name,-created_at`), with some `fields` of each."""
        limit, keys = pages.check_limit(limit), listing.order(sort, SORTED_BY)
        after = listing.after(keys, cursor)
        found = await users.page(auth, principal, permissions, keys, after, limit + 1, count=count != "none")
        shown = found.users[:limit]
        following = listing.cursor_of(keys, shown[-1]) if len(found.users) > limit else None
        items = listing.only([user_answer(it, found.catalogue) for it in shown], fields)
        return Page(items, following, found.count)

    @post(summary="Add a user")
    async def create(
        self,
        data: JSONBody[UserInput],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> Response[UserAnswer | None]:
        """Adds or invites a user, with roles that give nothing beyond what the one who asks may do."""
        given = users.NewUser(**msgspec.structs.asdict(data))
        return _tagged(await users.create(auth, principal, permissions, given), status=201)

    @get("/{user_id:str}", summary="Get a user")
    async def one(
        self,
        user_id: FromPath[str],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
        if_none_match: IfNoneMatch = None,
    ) -> Response[UserAnswer | None]:
        """One user."""
        return _tagged(await users.get(auth, principal, permissions, parse_id(user_id)), if_none_match)

    @patch("/{user_id:str}", summary="Change a user")
    async def change(
        self,
        user_id: FromPath[str],
        data: JSONBody[UserPatch],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
        if_match: IfMatch = None,
    ) -> Response[UserAnswer | None]:
        """Changes what is given. Tokens that the user has end when roles change; a refresh brings the new ones."""
        changed = _change(data)
        return _tagged(await users.change(auth, principal, permissions, parse_id(user_id), changed, versions(if_match)))

    @delete("/{user_id:str}", summary="Delete a user")
    async def remove(
        self,
        user_id: FromPath[str],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
        if_match: IfMatch = None,
    ) -> None:
        """Deletes a user and ends their sessions. The last active owner stays."""
        await users.delete(auth, principal, permissions, parse_id(user_id), versions(if_match))

    @delete("/{user_id:str}/mfa", summary="Remove a user's second factor")
    async def reset_mfa(
        self,
        user_id: FromPath[str],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> None:
        """For who lost device and recovery codes. Ends the user's sessions."""
        await second_factors.reset(auth, principal, permissions, parse_id(user_id))

    @post("/{user_id:str}/deactivate", summary="Deactivate a user", status_code=200)
    async def deactivate(
        self,
        user_id: FromPath[str],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> UserAnswer:
        """Ends the user's sessions and lets them in no more."""
        given = users.Change(status="deactivated")
        return _one(await users.change(auth, principal, permissions, parse_id(user_id), given))

    @post("/{user_id:str}/activate", summary="Activate a user", status_code=200)
    async def activate(
        self,
        user_id: FromPath[str],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> UserAnswer:
        """Lets a deactivated user in again."""
        given = users.Change(status="active")
        return _one(await users.change(auth, principal, permissions, parse_id(user_id), given))

    @post("/{user_id:str}/impersonate", summary="Act as a user")
    async def impersonate(
        self,
        request: Request[Any, Any, Any],
        user_id: FromPath[str],
        data: JSONBody[ImpersonationInput],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> ImpersonationAnswer:
        """A token in the user's name for some minutes, where the organization's policy consents (`impersonation`).

        It takes the right to manage users and all that the user may do. The user is told, and everything done with it
        shows who did it. Accounts, factors, keys and rights are not changed by it. `DELETE /sessions/{id}` ends it.
        """
        it = await impersonation.begin(auth, principal, permissions, parse_id(user_id), data.reason, client_of(request))
        told = await users.named(auth, principal.tenant_id, it.user)
        return ImpersonationAnswer(
            access_token=it.access_token, expires_in=it.expires_in, session_id=it.session_id, user=_one(told)
        )


def _change(data: UserPatch | MePatch) -> users.Change:
    given: dict[str, object] = msgspec.structs.asdict(data)
    return users.Change(**{name: value for name, value in given.items() if value is not UNSET})  # type: ignore[arg-type]


def _one(found: People) -> UserAnswer:
    return user_answer(found.users[0], found.catalogue)


def _tagged(found: People, if_none_match: str | None = None, status: int = 200) -> Response[UserAnswer | None]:
    version = found.users[0].version
    if unchanged(if_none_match, version):
        return Response(None, status_code=304, headers=etag(version))
    return Response(_one(found), status_code=status, headers=etag(version))
