from libs.common.errors import TooLarge
from services.realtime.sockets.connection import Connection
from services.realtime.sockets.context import Context
from services.realtime.sockets.frames import Cursor, FieldUpdate, Focus, Lock, Unlock
from services.realtime.usecases import fields, records

MAX_POSITION_BYTES = 1024


async def field_update(context: Context, connection: Connection, frame: FieldUpdate) -> None:
    """Has a field stored, and tells the sender of it; the others hear of it by the event."""
    record_id, lock_token = fields.record_of(connection, frame.record_id), frame.lock_token
    if lock_token is None:
        lock_token = context.live.locks.token_of(connection, record_id, frame.field)
    update = records.FieldUpdate(
        token=connection.principal.token,
        record_id=record_id,
        field=frame.field,
        value=frame.value,
        base_version=frame.base_version,
        operation_id=frame.operation_id,
        lock_token=lock_token,
    )
    connection.begin(frame.operation_id)
    connection.tell(await fields.update(context.live, update))


async def lock(context: Context, connection: Connection, frame: Lock) -> None:
    """Gives the socket a field."""
    await fields.lock(context.live, connection, fields.record_of(connection, frame.record_id), frame.field)


async def unlock(context: Context, connection: Connection, frame: Unlock) -> None:
    """Takes it back."""
    await context.live.locks.free(connection, fields.record_of(connection, frame.record_id), frame.field)


async def focus(context: Context, connection: Connection, frame: Focus) -> None:
    """Tells the others where the user is."""
    record_id = fields.record_of(connection, frame.record_id)
    await fields.focus(context.live, connection, record_id, frame.field)


async def cursor(context: Context, connection: Connection, frame: Cursor) -> None:
    """Tells the others where the user's cursor is."""
    if len(bytes(frame.position)) > MAX_POSITION_BYTES:
        raise TooLarge(f"A cursor's position has at most {MAX_POSITION_BYTES} bytes")
    record_id = fields.record_of(connection, frame.record_id)
    await fields.cursor(context.live, connection, record_id, frame.field, frame.position)
