"""Field locks and their tokens."""

from collections.abc import Sequence
from uuid import UUID

from libs.common import sql
from libs.common.identity import Principal
from libs.common.postgres import Connection
from services.records.domain.locks import FieldLock

SQL = sql.load(__file__)

Asked = tuple[UUID, str, int]
"""Record, field and token."""


async def held(connection: Connection, tenant_id: UUID, record_id: UUID) -> list[FieldLock]:
    """The locks of a record, also those whose lease has ended."""
    return [FieldLock(*row) for row in await connection.fetch(SQL["held"], tenant_id, record_id)]


async def grant(connection: Connection, by: Principal, record_id: UUID, field: str, holder: str, seconds: float) -> int:
    """Gives a field of a record that is locked in this transaction to a connection; the token."""
    await connection.execute(SQL["fence"], by.tenant_id, record_id, True)
    token: int = await connection.fetchval(
        SQL["grant"], by.tenant_id, record_id, field, by.id, by.name, holder, seconds
    )
    return token


async def renew(connection: Connection, tenant_id: UUID, locks: Sequence[Asked], seconds: float) -> list[int]:
    """Lengthens leases; the tokens that are still held."""
    rows = await connection.fetch(SQL["renew"], tenant_id, *_columns(locks), seconds)
    return [row[0] for row in rows]


async def release(connection: Connection, tenant_id: UUID, locks: Sequence[Asked]) -> list[int]:
    """Ends leases; the tokens that were held."""
    return [row[0] for row in await connection.fetch(SQL["release"], tenant_id, *_columns(locks))]


async def unfence(connection: Connection, tenant_id: UUID, record_id: UUID) -> None:
    """Notes that a record that is locked in this transaction has no locks any more."""
    await connection.execute(SQL["fence"], tenant_id, record_id, False)


def _columns(locks: Sequence[Asked]) -> tuple[list[UUID], list[str], list[int]]:
    return [one[0] for one in locks], [one[1] for one in locks], [one[2] for one in locks]
