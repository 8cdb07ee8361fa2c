"""What other services ask over NATS."""

from typing import Annotated
from uuid import UUID

import msgspec

from libs.common import clock
from libs.common.bus import Bus
from libs.common.errors import NotFound
from libs.common.identity import PrincipalKind
from libs.common.permissions import RoleGrants
from libs.common.plans import Limits
from services.auth.domain.api_keys import ApiKey
from services.auth.domain.events import TenantData, UserData, tenant_data
from services.auth.domain.keys import Jwk
from services.auth.domain.people import User
from services.auth.storage import api_keys, users
from services.auth.usecases import organizations, roles
from services.auth.usecases.context import Context


class Nothing(msgspec.Struct):
    """A question without words."""


class RoleQuestion(msgspec.Struct):
    """Which role."""

    tenant_id: UUID
    role_id: UUID


class TenantQuestion(msgspec.Struct):
    """Which tenant."""

    tenant_id: UUID


class UserQuestion(msgspec.Struct):
    """Which user."""

    tenant_id: UUID
    user_id: UUID


class UsersQuestion(msgspec.Struct):
    """Which users, by id or by name: a thousand of each at most."""

    tenant_id: UUID
    user_ids: Annotated[list[UUID], msgspec.Meta(max_length=1000)] = []
    names: Annotated[list[str], msgspec.Meta(max_length=1000)] = []


class Introduced(msgspec.Struct):
    """A user by name."""

    id: UUID
    name: str


class Users(msgspec.Struct):
    """Those whom there are."""

    users: list[Introduced]


class Locale(msgspec.Struct):
    """The language tag (BCP 47) of a user, or of the organization."""

    locale: str


class StandingQuestion(msgspec.Struct):
    """Which user, API key or device."""

    tenant_id: UUID
    id: UUID
    kind: PrincipalKind


class Standing(msgspec.Struct):
    """The roles that somebody has who may come in."""

    roles: tuple[UUID, ...]


class Keys(msgspec.Struct):
    """A JSON Web Key Set."""

    keys: list[Jwk]


def serve(bus: Bus, context: Context) -> None:
    """Answers other services."""

    async def jwks(_: Nothing) -> Keys:
        return Keys(await context.keys.jwks())

    async def role(question: RoleQuestion) -> RoleGrants:
        return await roles.flattened(context, question.tenant_id, question.role_id)

    async def limits(question: TenantQuestion) -> Limits:
        return (await organizations.get(context, question.tenant_id)).limits

    async def tenant(question: TenantQuestion) -> TenantData:
        return tenant_data(await organizations.get(context, question.tenant_id))

    bus.serve("rpc.auth.limits", TenantQuestion, limits)
    bus.serve("rpc.auth.tenant", TenantQuestion, tenant)

    async def user(question: UserQuestion) -> UserData:
        async with context.database.tenant(question.tenant_id) as connection:
            found = await users.get(connection, question.tenant_id, question.user_id)
        if found is None:
            raise NotFound
        return UserData(found.id, found.email, found.name, found.status, found.roles)

    async def locale(question: UserQuestion) -> Locale:
        async with context.database.tenant(question.tenant_id) as connection:
            found = await users.get(connection, question.tenant_id, question.user_id)
        return Locale((found or await organizations.get(context, question.tenant_id)).locale)

    async def introduced(question: UsersQuestion) -> Users:
        async with context.database.tenant(question.tenant_id) as connection:
            found = await users.introduced(connection, question.tenant_id, question.user_ids, question.names)
        return Users([Introduced(*it) for it in found])

    async def standing(question: StandingQuestion) -> Standing:
        found: User | ApiKey | None
        async with context.database.tenant(question.tenant_id) as connection:
            if question.kind == "user":
                found = await users.get(connection, question.tenant_id, question.id)
                good = found is not None and found.status == "active"
            else:
                found = await api_keys.get(connection, question.tenant_id, question.kind, question.id)
                good = found is not None and (found.expires_at is None or found.expires_at > clock.now())
        if found is None or not good:
            raise NotFound
        return Standing(found.roles)

    bus.serve("rpc.auth.standing", StandingQuestion, standing)
    bus.serve("rpc.auth.user", UserQuestion, user)
    bus.serve("rpc.auth.users", UsersQuestion, introduced)
    bus.serve("rpc.auth.locale", UserQuestion, locale)
    bus.serve("rpc.auth.jwks", Nothing, jwks)
    bus.serve("rpc.auth.role", RoleQuestion, role)
