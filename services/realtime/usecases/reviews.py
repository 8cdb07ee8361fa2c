"""Open sockets under roles that changed."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import structlog

from libs.common.errors import AppError
from libs.common.roles import RoleStore
from services.realtime.usecases import subscriptions
from services.realtime.usecases.live import Live
from services.realtime.usecases.registry import Connected

AT_ONCE = 100

log = structlog.get_logger()


class Reviews:
    """Reviews a role's connections: first what they are told, then whether they may listen at all."""

    def __init__(self, live: Live, roles: RoleStore) -> None:
        self._live = live
        self._roles = roles
        self._tasks: set[asyncio.Task[None]] = set()

    def role_changed(self, tenant_id: UUID, role_id: UUID) -> None:
        """Begins a review."""
        concerned = [one for one in self._live.registry.of(tenant_id) if role_id in one.principal.roles]
        if concerned:
            task = asyncio.create_task(self._review(concerned))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _review(self, connections: list[Connected]) -> None:
        for connection in connections:
            await self._attempt(connection, self._grant)
        for begin in range(0, len(connections), AT_ONCE):
            some = connections[begin : begin + AT_ONCE]
            await asyncio.gather(*(self._attempt(connection, self._reconsider) for connection in some))

    async def _grant(self, connection: Connected) -> None:
        connection.grant(await self._roles.permissions(connection.principal))
        subscriptions.regroup(self._live, connection)

    async def _reconsider(self, connection: Connected) -> None:
        await subscriptions.reconsider(self._live, connection)

    async def _attempt(self, connection: Connected, step: Callable[[Connected], Awaitable[None]]) -> None:
        """A step of the review; a socket that cannot be reviewed does not keep what it had."""
        try:
            await step(connection)
        except AppError as error:
            await log.awarning("a socket could not be reviewed", error=repr(error))
            connection.revoke("review-failed", "Your permissions have changed; connect again")
