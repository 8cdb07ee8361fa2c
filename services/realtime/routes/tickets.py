import msgspec
from litestar import post
from litestar.di import NamedDependency

from libs.common.app import Platform
from libs.common.identity import Principal
from services.realtime.storage import tickets


class Ticket(msgspec.Struct, frozen=True):
    """What opens one socket: `WS /api/v1/ws?ticket=…`, within `expires_in` seconds."""

    ticket: str
    expires_in: int


@post("/ws/tickets")
async def issue_ticket(
    platform: NamedDependency[Platform], principal: NamedDependency[Principal], ticket_seconds: NamedDependency[int]
) -> Ticket:
    """Issues a ticket for opening a socket from a browser, which cannot send headers with it."""
    ticket = await tickets.issue(platform.redis, principal.token, ticket_seconds)
    return Ticket(ticket, ticket_seconds)
