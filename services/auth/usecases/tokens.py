"""Issuing tokens: an access token for ten minutes, and a refresh token to get the next with."""

import time
from datetime import datetime
from uuid import UUID

import msgspec

from libs.common.identity import AUDIENCE, ISSUER, Claims
from libs.common.ids import new_id
from libs.common.postgres import Connection
from services.auth.domain.keys import Signer
from services.auth.domain.people import User
from services.auth.domain.sessions import Lifetimes, Session, make_refresh_token
from services.auth.storage import sessions


class Tokens(msgspec.Struct, frozen=True):
    """What a client signs in with from now on; `expires_in` is the access token's life in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int


async def issue(
    connection: Connection, tenant_id: UUID, signer: Signer, lifetimes: Lifetimes, user: User, session: Session,
    now: datetime,
) -> Tokens:  # fmt: skip
    """Tokens of a session; the user's row is held, so that they say what holds."""
    token, digest = make_refresh_token(tenant_id)
    expires_at = lifetimes.of_refresh_token(now, session.expires_at)
    await sessions.insert_token(connection, tenant_id, digest, session.id, now, expires_at)
    life = lifetimes.access_token.total_seconds()
    return Tokens(signer.sign(_claims(tenant_id, user, session.id, life)), token, int(life))


def _claims(tenant_id: UUID, user: User, session_id: UUID, life: float) -> Claims:
    # Not rounded: a token issued right after a revocation must be told from those before it.
    issued = time.time()
    return Claims(
        iss=ISSUER, aud=AUDIENCE, sub=user.id, tid=tenant_id, sid=session_id, kind="user", name=user.name,
        roles=user.roles, iat=issued, exp=issued + life, jti=new_id().hex,
    )  # fmt: skip
