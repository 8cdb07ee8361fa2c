"""What is sealed in tables of all tenants, a stretch at a time, by who may see just that."""

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

from libs.common import sql
from libs.common.postgres import Connection
from libs.common.sealing import Sealed

SQL = sql.load(__file__)

Table = Literal["totp_secrets", "identity_providers", "mails"]


async def following(connection: Connection, table: Table, after: tuple[UUID, UUID], limit: int) -> list[Sealed]:
    """The next that are sealed, which nobody else changes until the end of the transaction."""
    return [Sealed(*row) for row in await connection.fetch(SQL[table], *after, limit)]


async def put(connection: Connection, table: Table, anew: Sequence[Sealed]) -> None:
    """Keeps what was sealed anew."""
    columns = [it.tenant_id for it in anew], [it.id for it in anew], [it.secret for it in anew]
    await connection.execute(SQL[f"put_{table}"], *columns)
