"""Response shapes that several routes share, and what they read of a request."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request
from msgspec import Meta

from libs.common.clock import rfc3339, utc
from libs.common.errors import Fault, Invalid
from libs.common.plans import Limits
from services.auth.domain.organizations import Branding, Organization, Security
from services.auth.domain.people import User
from services.auth.domain.roles import Catalogue, Role, RoleName
from services.auth.domain.sessions import Client

ANYONE: list[dict[str, list[str]]] = [{}]
MAX_USER_AGENT = 400
MAX_ADDRESS = 64

Moment = Annotated[datetime, Meta(tz=True)]


class UserAnswer(msgspec.Struct, frozen=True):
    """A user as clients see it; status is `active`, `invited` or `deactivated`."""

    id: UUID
    email: str
    name: str
    locale: str
    status: str
    email_verified: bool
    roles: list[RoleName]
    created_at: str
    updated_at: str


class OrganizationAnswer(msgspec.Struct, frozen=True):
    """An organization as clients see it: `limits` are those of its plan; it is deleted at `deletes_at`, if ever."""

    id: UUID
    slug: str
    name: str
    status: str
    locale: str
    time_zone: str
    branding: Branding
    security: Security
    domains: tuple[str, ...]
    limits: Limits
    deletes_at: str | None
    created_at: str
    updated_at: str


def role_name(role: Role) -> RoleName:
    """A role by name."""
    return RoleName(role.id, role.slug, role.name)


def user_answer(user: User, catalogue: Catalogue) -> UserAnswer:
    """A user with the names of its roles."""
    return named_user(user, [role_name(catalogue[role_id]) for role_id in user.roles if role_id in catalogue])


def named_user(user: User, names: list[RoleName]) -> UserAnswer:
    """The same where the names are known."""
    return UserAnswer(
        user.id, user.email, user.name, user.locale, user.status, user.email_verified_at is not None, names,
        rfc3339(user.created_at), rfc3339(user.updated_at),
    )  # fmt: skip


def organization_answer(it: Organization) -> OrganizationAnswer:
    """An organization as clients see it."""
    return OrganizationAnswer(
        it.id, it.slug, it.name, it.status, it.locale, it.time_zone, it.branding, it.security, it.domains,
        it.limits, rfc3339(it.deletes_at) if it.deletes_at else None, rfc3339(it.created_at), rfc3339(it.updated_at),
    )  # fmt: skip


def client_of(request: Request[Any, Any, Any]) -> Client:
    """Where a request comes from; the gateway tells the address."""
    forwarded = request.headers.get("x-forwarded-for", "").partition(",")[0].strip()
    address = forwarded or (request.client.host if request.client else None)
    agent = request.headers.get("user-agent")
    return Client(address[:MAX_ADDRESS] if address else None, agent[:MAX_USER_AGENT] if agent else None)


def origin_of(request: Request[Any, Any, Any]) -> str:
    """Where the client believes to be; the gateway tells scheme and host."""
    scheme = request.headers.get("x-forwarded-proto", request.url.scheme)
    host = request.headers.get("x-forwarded-host") or request.headers.get("host", "localhost")
    return f"{scheme}://{host}"


def id_parameter(name: str, text: str | None) -> UUID | None:
    """The id of a query parameter, None where it is not given."""
    try:
        return UUID(text) if text else None
    except ValueError:
        raise Invalid(errors=[Fault(f"/{name}", "invalid_id", f"'{name}' is not an id")]) from None


def time_parameter(name: str, text: str | None) -> datetime | None:
    """The moment of a query parameter, None where it is not given."""
    try:
        return utc(msgspec.convert(text, Moment)) if text else None
    except msgspec.ValidationError:
        detail = f"'{name}' is not a time such as 2026-01-31T12:00:00Z"
        raise Invalid(errors=[Fault(f"/{name}", "invalid_time", detail)]) from None
