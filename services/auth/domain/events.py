"""What auth announces, as docs/architecture.md promises it."""

import time
from uuid import UUID

import msgspec

from libs.common.events import NewEvent
from libs.common.ids import NIL
from libs.common.permissions import RoleGrants
from libs.common.plans import Limits
from services.auth.domain.organizations import Organization
from services.auth.domain.people import User


class TenantData(msgspec.Struct, frozen=True):
    """Data of `auth.tenant.*`."""

    id: UUID
    slug: str
    name: str
    status: str
    domains: tuple[str, ...]
    locale: str
    time_zone: str
    limits: Limits
    require_if_match: bool
    addresses: tuple[str, ...]
    trash_days: int


class UserData(msgspec.Struct, frozen=True):
    """Data of `auth.user.*`."""

    id: UUID
    email: str
    name: str
    status: str
    roles: tuple[UUID, ...]


class SessionRevoked(msgspec.Struct, frozen=True):
    """Data of `auth.session.revoked`: one session, or every token of the user issued before `not_before`."""

    session_id: UUID | None
    user_id: UUID
    not_before: float


class KeyRotated(msgspec.Struct, frozen=True):
    """Data of `auth.key.rotated`: the key that signs from now on."""

    kid: str


def tenant(verb: str, it: Organization) -> NewEvent:
    """`auth.tenant.<verb>`."""
    return NewEvent(f"auth.tenant.{verb}", it.id, tenant_data(it))


def tenant_data(it: Organization) -> TenantData:
    """What other services are told of a tenant."""
    return TenantData(
        it.id, it.slug, it.name, it.status, it.domains, it.locale, it.time_zone, it.limits,
        it.security.require_if_match, it.security.ip_allow_list,
        it.security.trash_days,
    )  # fmt: skip


def user(verb: str, it: User) -> NewEvent:
    """`auth.user.<verb>`."""
    return NewEvent(f"auth.user.{verb}", it.id, UserData(it.id, it.email, it.name, it.status, it.roles))


def role(verb: str, it: RoleGrants) -> NewEvent:
    """`auth.role.<verb>`."""
    return NewEvent(f"auth.role.{verb}", it.id, it)


def session_revoked(user_id: UUID, session_id: UUID) -> NewEvent:
    """One session ends."""
    return NewEvent("auth.session.revoked", session_id, SessionRevoked(session_id, user_id, time.time()))


def tokens_revoked(user_id: UUID) -> NewEvent:
    """Every access token that the user has now ends; to be made while the user's row is locked."""
    return NewEvent("auth.session.revoked", user_id, SessionRevoked(None, user_id, time.time()))


def key_rotated(kid: str) -> NewEvent:
    """Another key signs."""
    return NewEvent("auth.key.rotated", NIL, KeyRotated(kid))
