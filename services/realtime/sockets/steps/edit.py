from libs.common.errors import TooLarge
from services.realtime.sockets.connection import Connection
from services.realtime.sockets.context import Context
from services.realtime.sockets.frames import Cursor, FieldUpdate, Focus
from services.realtime.usecases import fields, records

MAX_POSITION_BYTES = 1024


async def field_update(context: Context, connection: Connection, frame: FieldUpdate) -> None:
    """Has a field stored, and tells the sender of it; the others hear of it by the event."""
    update = records.FieldUpdate(
        token=connection.principal.token,
        record_id=fields.record_of(connection, frame.record_id),
        field=frame.field,
        value=frame.value,
        base_version=frame.base_version,
        operation_id=frame.operation_id,
    )
    connection.begin(frame.operation_id)
    connection.tell(await fields.update(context.live, update))


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
