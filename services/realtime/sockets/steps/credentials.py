"""What the handshake itself says of who comes: a sub-protocol, a ticket, or an Authorization header."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from libs.common.errors import Unauthenticated
from libs.common.tokens import bearer
from services.realtime.sockets.context import Context
from services.realtime.storage import tickets

SUBPROTOCOL = "bearer"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A token or a ticket, where the handshake has one, and the sub-protocol to answer with."""

    token: str | None = None
    ticket: str | None = None
    subprotocol: str | None = None


def credentials(scope: Any) -> Credentials:
    """The credentials of a handshake."""
    offered = scope.get("subprotocols", [])
    if len(offered) == 2 and offered[0] == SUBPROTOCOL:
        return Credentials(token=offered[1], subprotocol=SUBPROTOCOL)
    if found := parse_qs(scope["query_string"].decode("latin-1")).get("ticket"):
        return Credentials(ticket=found[0])
    header = dict(scope["headers"]).get(b"authorization")
    return Credentials(token=bearer(header.decode("latin-1"))) if header else Credentials()


async def redeem(context: Context, given: Credentials) -> str | None:
    """The token of the credentials; a ticket is used up by this."""
    if given.ticket is None:
        return given.token
    token = await tickets.redeem(context.live.redis, given.ticket)
    if token is None:
        raise Unauthenticated("The ticket was used, has expired, or never was", code="invalid-ticket")
    return token
