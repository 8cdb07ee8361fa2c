"""Issuing tokens: an access token for ten minutes, and a refresh token to get the next with."""

import time
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from libs.common.identity import AUDIENCE, ISSUER, Actor, Claims, PrincipalKind
from libs.common.ids import new_id
from libs.common.postgres import Connection
from services.auth.domain.keys import Signer
from services.auth.domain.people import User
from services.auth.domain.sessions import Lifetimes, Session, make_refresh_token
from services.auth.storage import sessions


class Tokens(msgspec.Struct, frozen=True):
    """What a client signs in with from now on; `expires_in` is the access token's life in seconds."""

    access_token: str
    expires_in: int
    refresh_token: str


class Subject(msgspec.Struct, frozen=True):
    """Whose token it is, by what it is revoked (a session, or the key that it was exchanged for), and who acts."""

    id: UUID
    session_id: UUID
    kind: PrincipalKind
    name: str
    roles: tuple[UUID, ...]
    actor: Actor | None = None


async def issue(
    connection: Connection, tenant_id: UUID, signer: Signer, lifetimes: Lifetimes, user: User, session: Session,
    now: datetime,
) -> Tokens:  # fmt: skip
    """The next tokens of a session; the user's row is held, so that they say what holds."""
    tokens, digest, expires_at = first(tenant_id, signer, lifetimes, user, session, now)
    await sessions.insert_token(connection, tenant_id, digest, session.id, now, expires_at)
    return tokens


def first(
    tenant_id: UUID, signer: Signer, lifetimes: Lifetimes, user: User, session: Session, now: datetime
) -> tuple[Tokens, bytes, datetime]:
    """Tokens of a session that are not kept yet; also what is to be kept of the refresh token, and until when."""
    token, digest = make_refresh_token(tenant_id)
    issued = access_token(signer, tenant_id, subject(user, session.id), lifetimes.access_token)
    return Tokens(*issued, token), digest, lifetimes.of_refresh_token(now, session.expires_at)


def subject(user: User, session_id: UUID) -> Subject:
    """A user in one of their sessions."""
    return Subject(user.id, session_id, "user", user.name, user.roles)


def access_token(signer: Signer, tenant_id: UUID, of: Subject, life: timedelta) -> tuple[str, int]:
    """An access token, and its life in seconds."""
    # Not rounded: a token issued right after a revocation must be told from those before it.
    issued = time.time()
    claims = Claims(
        iss=ISSUER, aud=AUDIENCE, sub=of.id, tid=tenant_id, sid=of.session_id, kind=of.kind, name=of.name,
        roles=of.roles, iat=issued, exp=issued + life.total_seconds(), jti=new_id().hex,
        act=of.actor,
    )  # fmt: skip
    return signer.sign(claims), int(life.total_seconds())
