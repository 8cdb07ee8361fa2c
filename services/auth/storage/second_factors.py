"""Second factors, and sign-ins that wait for one."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from libs.common import sql
from libs.common.postgres import Connection
from services.auth.domain.second_factors import TotpSecret

SQL = sql.load(__file__)


async def get(connection: Connection, tenant_id: UUID, user_id: UUID) -> TotpSecret | None:
    """A user's secret, confirmed or not."""
    row = await connection.fetchrow(SQL["get"], tenant_id, user_id)
    return TotpSecret(*row) if row else None


async def put(connection: Connection, tenant_id: UUID, user_id: UUID, secret: bytes, now: datetime) -> bool:
    """Another secret, to be confirmed; False where one is confirmed already."""
    return bool(await connection.fetchval(SQL["put"], tenant_id, user_id, secret, now))


async def use_step(connection: Connection, tenant_id: UUID, user_id: UUID, step: int, now: datetime) -> bool:
    """Uses up a time step and all before it, which confirms the secret; False where it was used up."""
    return bool(await connection.fetchval(SQL["use_step"], tenant_id, user_id, step, now))


async def remove(connection: Connection, tenant_id: UUID, user_id: UUID) -> None:
    """Forgets a user's secret and recovery codes."""
    await connection.execute(SQL["remove"], tenant_id, user_id)
    await connection.execute(SQL["remove_recovery_codes"], tenant_id, user_id)


async def replace_recovery_codes(
    connection: Connection, tenant_id: UUID, user_id: UUID, digests: Sequence[bytes]
) -> None:
    """Other recovery codes; those from before are worth nothing."""
    await connection.execute(SQL["remove_recovery_codes"], tenant_id, user_id)
    await connection.execute(SQL["insert_recovery_codes"], tenant_id, user_id, digests)


async def use_recovery_code(connection: Connection, tenant_id: UUID, user_id: UUID, digest: bytes) -> bool:
    """Uses up a recovery code; False where there is none."""
    return bool(await connection.fetchval(SQL["use_recovery_code"], tenant_id, user_id, digest))


async def count_recovery_codes(connection: Connection, tenant_id: UUID, user_id: UUID) -> int:
    """How many recovery codes are left."""
    return int(await connection.fetchval(SQL["count_recovery_codes"], tenant_id, user_id))


async def insert_challenge(
    connection: Connection, tenant_id: UUID, user_id: UUID, digest: bytes, now: datetime, expires_at: datetime
) -> None:
    """A sign-in that waits for its second factor; those of the user that nobody finished are forgotten."""
    await connection.execute(SQL["forget_challenges"], tenant_id, user_id, now)
    await connection.execute(SQL["insert_challenge"], tenant_id, digest, user_id, expires_at)


async def challenged(connection: Connection, tenant_id: UUID, digest: bytes, now: datetime) -> UUID | None:
    """Whose sign-in waits by that token."""
    found: UUID | None = await connection.fetchval(SQL["challenged"], tenant_id, digest, now)
    return found


async def take_challenge(connection: Connection, tenant_id: UUID, digest: bytes, now: datetime) -> UUID | None:
    """The same, and ends the waiting."""
    found: UUID | None = await connection.fetchval(SQL["take_challenge"], tenant_id, digest, now)
    return found
