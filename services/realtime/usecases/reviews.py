"""Open sockets under roles that changed."""

import asyncio
from uuid import UUID

import structlog

from libs.common.errors import AppError
from libs.common.roles import RoleStore
from services.realtime.usecases import subscriptions
from services.realtime.usecases.live import Live
from services.realtime.usecases.registry import Connected

log = structlog.get_logger()


class Reviews:
    """Reviews the connections that a role gives permissions to, one after the other."""

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
            connection.grant(await self._roles.permissions(connection.principal))
        for connection in connections:
            try:
                await subscriptions.reconsider(self._live, connection)
            except AppError as error:
                await log.awarning("a socket could not be reviewed", error=repr(error))
                connection.revoke("review-failed", "Your permissions have changed; connect again")
