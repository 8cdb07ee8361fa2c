"""Files of imports on their way into the store: whether there is room is asked before they are taken, and after."""

from collections import Counter
from collections.abc import AsyncIterator
from uuid import UUID

from libs.common.errors import RateLimited
from libs.common.plans import require_room
from libs.common.postgres import Connection
from services.records.storage import files, jobs, records
from services.records.storage.objects import ObjectStore
from services.records.usecases.caller import Caller

KIND = "import"
MAX_OPEN = 10
"""Imports of a tenant that may wait or run at once: each keeps its file until it ends."""
RECEIVED_AT_ONCE = 5
"""Files that one process takes in for a tenant at once."""

_receiving: Counter[UUID] = Counter()


async def receive(caller: Caller, store: ObjectStore, job_id: UUID, key: str, chunks: AsyncIterator[bytes]) -> None:
    """Puts the file of a job that will be into the store, where the tenant may begin another import and has room for
    it. It is noted first, so that it goes if nothing comes of it.
    """
    tenant_id = caller.tenant_id
    await caller.catalog.plans.of(tenant_id)
    async with caller.database.tenant(tenant_id) as connection:
        await require_place(connection, caller)
        await files.expect_object(connection, tenant_id, job_id, key)
    if _receiving[tenant_id] >= RECEIVED_AT_ONCE:
        raise _too_many(f"At most {RECEIVED_AT_ONCE} files of imports are taken in at once")
    _receiving[tenant_id] += 1
    try:
        await store.put(key, chunks)
    finally:
        _receiving[tenant_id] -= 1
        if not _receiving[tenant_id]:
            del _receiving[tenant_id]


async def require_place(connection: Connection, caller: Caller, size: int = 1) -> None:
    """Refuses an import beyond those that may be open, and one whose file is more than the plan has room for."""
    limit = caller.catalog.plans.cached(caller.tenant_id).storage_bytes
    if limit is not None:
        await records.take_turns(connection, caller.tenant_id)
        require_room("storage_bytes", limit, await files.stored_bytes(connection, caller.tenant_id), size)
    if await jobs.open_jobs(connection, caller.tenant_id, KIND) >= MAX_OPEN:
        raise _too_many(f"At most {MAX_OPEN} imports may wait or run at once")


def _too_many(detail: str) -> RateLimited:
    return RateLimited(detail, code="too-many-imports", retry_after=10)
