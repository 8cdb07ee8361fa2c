"""How far the stream was read, in the one table that is of no tenant."""

from libs.common import sql
from libs.common.postgres import Connection

SQL = sql.load(__file__)


async def read(connection: Connection, name: str) -> int | None:
    """The position, or None before the first time."""
    found: int | None = await connection.fetchval(SQL["position"], name)
    return found


async def begin(connection: Connection, name: str, position: int) -> None:
    """Begins at a position, unless another process already did."""
    await connection.execute(SQL["begin_position"], name, position)


async def advance(connection: Connection, name: str, position: int) -> None:
    """Notes that everything up to a position was taken."""
    await connection.execute(SQL["advance_position"], name, position)


async def reset(connection: Connection, name: str, position: int) -> None:
    """Begins anew at a position of a stream that was made anew."""
    await connection.execute(SQL["reset_position"], name, position)
