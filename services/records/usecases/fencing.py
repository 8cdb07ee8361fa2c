"""What field locks keep from being written, asked in the transaction that writes, with the record's row locked."""

from collections.abc import Collection
from uuid import UUID

from services.records.domain import locks as rules
from services.records.storage import locks
from services.records.storage.records import Locked
from services.records.usecases.scope import Scope


async def check(scope: Scope, row: Locked, changed: Collection[str], tokens: Collection[int]) -> None:
    """Raises `Conflict` where a changed field is locked by another, or a token that is named is too old.

    Whoever grants a lock locks the row as well, so what is seen here is what holds until the write is committed.
    """
    if not row.fenced and not tokens:
        return
    held = await locks.held(scope.connection, scope.tenant_id, row.id)
    if row.fenced and not held:
        await locks.unfence(scope.connection, scope.tenant_id, row.id)
    rules.check(held, changed, tokens, scope.caller.principal.id)


async def passed(scope: Scope, record_id: UUID, field: str) -> bool:
    """Whether a record has locks, none of which keeps the field from being written; its row is locked from now on."""
    row = (await scope.lock([record_id])).get(record_id)
    if row is None or not row.fenced or not scope.read.holds(row.reads):
        return False
    await check(scope, row, [field], ())
    return True
