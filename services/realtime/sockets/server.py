"""The sockets of the service, as an ASGI layer in front of its HTTP routes.

A socket's way: the handshake's credentials → accept → authenticate → (subscribe, where the address names a record) →
frame after frame → leave.
"""

import asyncio
from typing import Any
from uuid import UUID

import structlog
from litestar.types import ASGIApp, Receive, Scope, Send

from libs.common import ids, logging, problems
from libs.common.errors import AppError, NotFound, RateLimited, Unauthenticated, Unavailable
from libs.common.networks import address_of
from services.realtime.domain.channels import Channel
from services.realtime.domain.messages import failed
from services.realtime.sockets import documents
from services.realtime.sockets.connection import TOO_MANY, TRY_LATER, UNAUTHENTICATED, Connection
from services.realtime.sockets.context import Context
from services.realtime.sockets.documents import DocumentConnection
from services.realtime.sockets.frames import Authenticate, Subscribe
from services.realtime.sockets.steps.authenticate import authenticate
from services.realtime.sockets.steps.credentials import Credentials, credentials, redeem
from services.realtime.sockets.steps.handle import handle, read
from services.realtime.sockets.steps.subscribe import subscribe
from services.realtime.usecases import subscriptions

TOO_BIG = 1009
MAX_NAME = 63

Place = UUID | tuple[UUID, str] | None
log = structlog.get_logger()


class Sockets:
    """Answers WebSocket handshakes, and passes everything else on."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app = app
        self._context = context
        self._strangers = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a socket for as long as it lives."""
        if scope["type"] != "websocket":  # type: ignore[comparison-overlap]
            return await self._app(scope, receive, send)
        logging.begin(request_id=_request_id(scope))
        await receive()
        try:
            if self._strangers >= self._context.limits.max_strangers:
                raise Unavailable("Too many sockets have yet to authenticate", code="overloaded", retry_after=2)
            place = _place(scope["path"])
            given = credentials(scope)
            if isinstance(place, tuple) and given.token is None and given.ticket is None:
                raise Unauthenticated("A document's socket brings a ticket or token in its handshake")
        except AppError as error:
            return await _refuse(error, scope, send)
        await send({"type": "websocket.accept", "subprotocol": given.subprotocol, "headers": []})
        connection = self._connection(scope, send, document=isinstance(place, tuple))
        await self._live(connection, receive, given, place)

    def dismiss(self) -> None:
        """Tells every socket to come back, at moments that are spread, and closes it."""
        for connection in self._context.live.registry.all():
            connection.dismiss()

    def _connection(self, scope: Any, send: Send, *, document: bool) -> Connection:
        context, address = self._context, address_of(scope)
        if document:
            return DocumentConnection(context, send, context.limits, context.live.metrics, address)
        return Connection(send, context.limits, context.live.metrics, address)

    async def _live(self, connection: Connection, receive: Receive, given: Credentials, place: Place) -> None:
        try:
            if await self._open(connection, receive, given):
                if isinstance(connection, DocumentConnection):
                    assert isinstance(place, tuple)
                    return await documents.serve(self._context, connection, receive, place)
                if isinstance(place, UUID):
                    await self._watch(connection, place)
                await self._listen(connection, receive)
        except asyncio.CancelledError:
            # Nobody but the connection itself cancels it: its reader did not take even the last frame.
            if not connection.closed:
                raise
        finally:
            self._leave(connection)

    async def _open(self, connection: Connection, receive: Receive, given: Credentials) -> bool:
        """Authenticates a socket; whether it may go on."""
        self._strangers += 1
        try:
            async with asyncio.timeout(connection.limits.authenticate_seconds):
                token = await redeem(self._context, given) or await _first(receive)
                if token is None:
                    return False
                await authenticate(self._context, connection, token)
                return True
        except TimeoutError:
            late = Unauthenticated("No token came in time", code="authentication-timeout")
            connection.close(failed(late), UNAUTHENTICATED)
        except AppError as error:
            connection.close(failed(error), _code(error))
        finally:
            self._strangers -= 1
        await _drain(receive)
        return False

    async def _watch(self, connection: Connection, record: UUID) -> None:
        channel = Channel("record", record).name
        try:
            await subscribe(self._context, connection, Subscribe(channel=channel))
        except AppError as error:
            connection.fail(error, channel=channel)

    async def _listen(self, connection: Connection, receive: Receive) -> None:
        while True:
            message: Any = await receive()
            if message["type"] == "websocket.disconnect":
                return
            if connection.closed:
                continue
            data = _data(message)
            if len(data) > connection.limits.max_frame_bytes:
                connection.close(None, TOO_BIG)
            else:
                await handle(self._context, connection, data)

    def _leave(self, connection: Connection) -> None:
        connection.release()
        for subscription in list(connection.subscriptions.values()):
            subscriptions.leave(self._context.live, connection, subscription)
        if connection.authenticated:
            self._context.live.registry.remove(connection)


async def _first(receive: Receive) -> str | None:
    """The token of the first frame; None where the client left without one."""
    message: Any = await receive()
    if message["type"] == "websocket.disconnect":
        return None
    frame = read(_data(message))
    if not isinstance(frame, Authenticate):
        raise Unauthenticated("The first frame must be 'authenticate'", code="not-authenticated")
    return frame.token


async def _drain(receive: Receive) -> None:
    """Waits until the peer has taken the close frame."""
    while True:
        if (await receive())["type"] == "websocket.disconnect":
            return


def _data(message: Any) -> bytes:
    text: str | None = message.get("text")
    if text is not None:
        return text.encode()
    data: bytes = message["bytes"]
    return data


def _code(error: AppError) -> int:
    if isinstance(error, RateLimited):
        return TOO_MANY
    return TRY_LATER if isinstance(error, Unavailable) else UNAUTHENTICATED


def _place(path: str) -> Place:
    """The record, or field of a record, that an address names; raises NotFound for one that is no socket's."""
    parts = [part for part in path.split("/") if part]
    for prefix in (["api", "v1"], ["api"]):
        if parts[: len(prefix)] == prefix:
            parts = parts[len(prefix) :]
            break
    if parts == ["ws"]:
        return None
    if parts[:2] == ["ws", "records"] and len(parts) == 3:
        return ids.parse_id(parts[2])
    if parts[:2] == ["ws", "docs"] and len(parts) == 4 and len(parts[3]) <= MAX_NAME:
        return ids.parse_id(parts[2]), parts[3]
    raise NotFound


def _request_id(scope: Any) -> str:
    given = dict(scope["headers"]).get(b"x-request-id", b"")
    return given.decode("latin-1")[:128] or str(ids.new_id())


async def _refuse(error: AppError, scope: Any, send: Send) -> None:
    status, headers, body = problems.render(error, request_id="", instance=scope["path"])
    raw = [(name.encode(), value.encode()) for name, value in headers]
    start: Any = {"type": "websocket.http.response.start", "status": status, "headers": raw}
    end: Any = {"type": "websocket.http.response.body", "body": body}
    await send(start)
    await send(end)
