"""Clients that wait for changes over HTTP: until the first one, or one after the other for as long as they listen."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress

from libs.common.errors import AppError, Gone, Unauthenticated
from libs.common.identity import Principal
from libs.common.ids import new_id
from libs.common.permissions import Permissions
from services.realtime.domain.messages import Frame
from services.realtime.usecases.changes import ChangePage, Reader
from services.realtime.usecases.hub import Hub
from services.realtime.usecases.live import Live
from services.realtime.usecases.subscribers import Subscription

STREAM_PAGE = 100
HEARTBEAT_SECONDS = 15.0


class Waiter:
    """One that waits, known to the registry of connections, so that what ends a socket ends it too."""

    def __init__(self, principal: Principal, permissions: Permissions, reader: Reader, address: str) -> None:
        self.id = str(new_id())
        self.address = address
        self.principal = principal
        self.permissions = permissions
        self.subscriptions: dict[str, Subscription] = {}
        self.error: AppError | None = None
        self._reader = reader
        self._over = asyncio.Event()

    @property
    def over(self) -> bool:
        """Whether it is to wait no longer."""
        return self._over.is_set()

    def grant(self, permissions: Permissions) -> None:
        """Takes new permissions."""
        self.permissions = permissions
        self._reader.grant(permissions)

    def revoke(self, code: str, detail: str) -> None:
        """Ends it, because its credentials are not good any more."""
        self.error = Unauthenticated(detail, code=code)
        self._over.set()

    def dismiss(self) -> None:
        """Ends it, because the server ends."""
        self._over.set()

    def deliver(self, frame: Frame) -> None:
        """Frames are not for it."""

    def made(self, operation_id: str) -> bool:
        """It asks for no operations."""
        return False

    async def ready(self) -> None:
        """Nothing is queued."""

    def ended(self, subscription: Subscription, error: AppError) -> None:
        """It has no subscriptions."""

    async def reviewed(self) -> None:
        """And nothing beside them."""

    async def listens(self, hub: Hub, page: ChangePage) -> bool:
        """Waits until there is more after a page, or a sign of life is due; whether it is to go on."""
        if not page.has_more:
            await self.wait(hub, page.next_since, HEARTBEAT_SECONDS)
        return not self.over

    async def wait(self, hub: Hub, position: int, seconds: float) -> bool:
        """Waits for a change after a position, for so long at most; whether there is one."""
        left = min(seconds, self.principal.expires_at - time.time())
        moved = asyncio.create_task(hub.moved(position))
        over = asyncio.create_task(self._over.wait())
        try:
            await asyncio.wait((moved, over), timeout=max(0.0, left), return_when=asyncio.FIRST_COMPLETED)
            if time.time() >= self.principal.expires_at:
                self.revoke("token-expired", "The token has expired")
            return moved.done()
        finally:
            for task in (moved, over):
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(moved, over, return_exceptions=True)


@contextmanager
def _present(live: Live, waiter: Waiter) -> Iterator[Hub]:
    live.registry.add(waiter)
    try:
        with live.hubs.opened(waiter.principal.tenant_id) as hub:
            yield hub
    finally:
        live.registry.remove(waiter)


async def poll(live: Live, waiter: Waiter, reader: Reader, since: int, limit: int, seconds: float) -> ChangePage:
    """The next page after a position; where it would be empty, as soon as something happens, or when the time is up."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    with _present(live, waiter) as hub:
        await hub.begun()
        page = await reader.page(since, limit, hub)
        while not page.items and not waiter.over and (left := end - loop.time()) > 0:
            if page.has_more or await waiter.wait(hub, page.next_since, left):
                page = await reader.page(page.next_since, limit, hub)
    if waiter.error is not None:
        raise waiter.error
    return page


async def follow(live: Live, waiter: Waiter, reader: Reader, first: ChangePage) -> AsyncIterator[ChangePage | AppError]:
    """Page after page, an empty one now and then as a sign of life; at last the error that ended it, where one did."""
    page = first
    try:
        with _present(live, waiter) as hub:
            await hub.begun()
            yield page
            while await waiter.listens(hub, page):
                if page.has_more or hub.position > page.next_since:
                    page = await reader.page(page.next_since, STREAM_PAGE, hub)
                else:
                    page = ChangePage([], page.next_since, False, None)
                yield page
    except Gone as error:
        waiter.error = error
    except AppError as error:
        waiter.error = waiter.error or error
    if waiter.error is not None:
        yield waiter.error
