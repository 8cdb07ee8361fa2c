"""`/sessions`: where a user is signed in."""

from uuid import UUID

import msgspec
from litestar import Controller, delete, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from libs.common import pages
from libs.common.clock import rfc3339
from libs.common.identity import Principal
from libs.common.ids import parse_id
from libs.common.pages import Count, Page
from services.auth.domain.sessions import Session
from services.auth.usecases import sessions
from services.auth.usecases.context import Context


class Impersonator(msgspec.Struct, frozen=True):
    """Who acts in the user's name, and why."""

    id: UUID
    name: str | None
    reason: str | None


class SessionAnswer(msgspec.Struct, frozen=True):
    """A session; `current` is the one that asks, `mfa` says that it began with two factors.

    In one with an `impersonator` somebody acts in the user's name, for a reason; the sessions in which the one who asks
    does so are listed as well.
    """

    id: UUID
    user_id: UUID
    current: bool
    mfa: bool
    user_agent: str | None
    address: str | None
    created_at: str
    last_used_at: str
    expires_at: str
    impersonator: Impersonator | None


class SessionsController(Controller):
    """Where a user is signed in."""

    path = "/sessions"
    tags = ["Sessions"]  # noqa: RUF012

    @get(summary="List my sessions")
    async def listed(
        self,
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        limit: FromQuery[int] = pages.DEFAULT_LIMIT,
        cursor: FromQuery[str | None] = None,
        count: FromQuery[Count] = "none",
    ) -> Page[SessionAnswer]:
        """The sessions of the one who asks that have not ended."""
        limit, after = pages.check_limit(limit), pages.after_id(cursor)
        found = await sessions.listed(auth, principal, after, limit + 1)
        total = await sessions.count(auth, principal) if count != "none" else None
        return pages.by_id(found, limit, lambda it: it.id, lambda it: _answer(it, principal), total)

    @delete("/{session_id:str}", summary="End one of my sessions")
    async def end(
        self, session_id: FromPath[str], auth: NamedDependency[Context], principal: NamedDependency[Principal]
    ) -> None:
        """Its refresh token is worth nothing from now on, and its access token within a second."""
        await sessions.end(auth, principal, parse_id(session_id))

    @delete(summary="End all my sessions")
    async def end_all(self, auth: NamedDependency[Context], principal: NamedDependency[Principal]) -> None:
        """Signs the one who asks out everywhere, here too."""
        await sessions.end_all(auth, principal)


def _answer(it: Session, principal: Principal) -> SessionAnswer:
    times = (rfc3339(it.created_at), rfc3339(it.last_used_at), rfc3339(it.expires_at))
    acting = Impersonator(it.actor_id, it.actor_name, it.reason) if it.actor_id else None
    current = it.id == principal.session_id
    return SessionAnswer(it.id, it.user_id, current, it.mfa, it.user_agent, it.address, *times, acting)
