"""One frame of an open socket: read, counted against its rate, answered. An error is told and changes nothing else."""

from typing import Any, get_args

import msgspec
import structlog

from libs.common import bodies
from libs.common.errors import AppError, Malformed, RateLimited
from services.realtime.domain.messages import Pong
from services.realtime.sockets.connection import Connection
from services.realtime.sockets.context import Context
from services.realtime.sockets.frames import (
    AnyFrame,
    Authenticate,
    Cursor,
    FieldUpdate,
    Focus,
    Lock,
    Ping,
    Subscribe,
    Unlock,
    Unsubscribe,
)
from services.realtime.sockets.steps import authenticate
from services.realtime.sockets.steps.edit import cursor, field_update, focus, lock, unlock
from services.realtime.sockets.steps.subscribe import subscribe, unsubscribe

_decoder: msgspec.json.Decoder[AnyFrame] = msgspec.json.Decoder(AnyFrame)
_lenient = msgspec.json.Decoder(dict[str, object])
_kinds = {str(kind.__struct_config__.tag): kind for kind in get_args(AnyFrame)}
log = structlog.get_logger()


def read(data: bytes) -> AnyFrame:
    """The frame of a message; raises Malformed, or Invalid with every fault."""
    try:
        if b"\\u0000" in data:
            raise Malformed("Text may not contain the NUL character")
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        frame: AnyFrame = bodies.decode(data, _type(data))
        return frame


def _type(data: bytes) -> Any:
    """The kind of frame that wrong data was meant to be, so that all its faults are found."""
    try:
        given = _lenient.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return AnyFrame
    meant = given.get("type")
    return _kinds.get(meant, AnyFrame) if isinstance(meant, str) else AnyFrame


async def handle(context: Context, connection: Connection, data: bytes) -> None:
    """Answers one message."""
    try:
        if not connection.bucket.take():
            raise RateLimited("Frames come too fast", code="too-many-frames", retry_after=1)
        context.rates.frame(connection.principal)
        await _answer(context, connection, read(data))
    except AppError as error:
        connection.fail(error, **_about(data))
    except Exception as error:
        await log.aerror("frame not handled", error=repr(error), exc_info=True)
        connection.fail(AppError(), **_about(data))


async def _answer(context: Context, connection: Connection, frame: AnyFrame) -> None:
    match frame:
        case Subscribe():
            await subscribe(context, connection, frame)
        case Unsubscribe():
            await unsubscribe(context, connection, frame)
        case FieldUpdate():
            await field_update(context, connection, frame)
        case Lock():
            await lock(context, connection, frame)
        case Unlock():
            await unlock(context, connection, frame)
        case Focus():
            await focus(context, connection, frame)
        case Cursor():
            await cursor(context, connection, frame)
        case Authenticate():
            await authenticate.again(context, connection, frame.token)
        case Ping():
            connection.tell(Pong())


def _about(data: bytes) -> dict[str, str]:
    """What of a frame its error repeats, so that the sender knows which one it was."""
    try:
        given = _lenient.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return {
        name: value
        for name in ("operation_id", "channel")
        if isinstance(value := given.get(name), str) and len(value) <= 100
    }
