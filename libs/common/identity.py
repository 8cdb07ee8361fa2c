"""Who asks: the principal of a request, as its verified token says."""

from typing import Literal
from uuid import UUID

import msgspec

ISSUER = "millrace"
AUDIENCE = "millrace"

PrincipalKind = Literal["user", "api_key", "device"]


class Actor(msgspec.Struct, frozen=True):
    """Who acts in the principal's name, in which session of their own (the `act` claim of RFC 8693)."""

    sub: UUID
    sid: UUID
    name: str


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """A user, API key or device of one tenant. Times are epoch seconds; `token` is the verified text itself."""

    tenant_id: UUID
    id: UUID
    kind: PrincipalKind
    session_id: UUID
    name: str
    roles: tuple[UUID, ...]
    issued_at: float
    expires_at: float
    token: str = ""
    actor: Actor | None = None


class Claims(msgspec.Struct, frozen=True, omit_defaults=True):
    """The claims of an access token (RFC 7519, RFC 9068 where they overlap)."""

    iss: str
    aud: str
    sub: UUID
    tid: UUID
    sid: UUID
    kind: PrincipalKind
    name: str
    roles: tuple[UUID, ...]
    iat: float
    exp: float
    jti: str
    act: Actor | None = None

    def principal(self, token: str) -> Principal:
        """The principal that the claims speak of."""
        return Principal(
            tenant_id=self.tid, id=self.sub, kind=self.kind, session_id=self.sid, name=self.name,
            roles=self.roles, issued_at=self.iat, expires_at=self.exp, token=token,
            actor=self.act,
        )  # fmt: skip
