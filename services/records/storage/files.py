"""Files: what is known of each, which records hold it, and which are to go."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.postgres import Connection, Database

SQL = sql.load(__file__)
RELAY = "millrace_records_relay"
UNUSED_SECONDS = 86_400.0
"""So long a file may wait for a record to hold it, and an object for its job."""


class File(msgspec.Struct, frozen=True):
    """A file. `media_type` was told from its contents; `digest` is SHA-256 in hexadecimal digits."""

    id: UUID
    pipeline_id: UUID
    field: str
    name: str
    media_type: str
    size: int
    digest: str
    uploaded_at: datetime
    uploaded_by: UUID


class Use(msgspec.Struct, frozen=True):
    """A field of a record that holds a file, or once did."""

    file_id: UUID
    record_id: UUID
    field: str


class End(msgspec.Struct, frozen=True):
    """What may go: a file, or with `object`, which is its key, what the job of that id was given or made."""

    tenant_id: UUID
    file_id: UUID
    object: str | None = None

    @property
    def key(self) -> str:
        """Where the bytes lie."""
        return self.object or object_key(self.tenant_id, self.file_id)


def object_key(tenant_id: UUID, file_id: UUID) -> str:
    """Where a file's bytes lie."""
    return f"files/{tenant_id}/{file_id}"


async def expect(connection: Connection, tenant_id: UUID, file_id: UUID) -> None:
    """Notes an object that is about to be written."""
    await connection.execute(SQL["expect"], tenant_id, file_id, UNUSED_SECONDS)


async def expect_object(connection: Connection, tenant_id: UUID, job_id: UUID, key: str) -> None:
    """Notes an object that is about to be written for a job."""
    await connection.execute(SQL["expect_object"], tenant_id, job_id, key, UNUSED_SECONDS)


async def stored_bytes(connection: Connection, tenant_id: UUID) -> int:
    """How many bytes a tenant's files have, those that are being imported or exported among them."""
    return int(await connection.fetchval(SQL["stored_bytes"], tenant_id))


async def insert(connection: Connection, tenant_id: UUID, file: File) -> None:
    """Keeps a file whose object is whole."""
    await connection.execute(SQL["insert"], tenant_id, *msgspec.structs.astuple(file))


async def get(connection: Connection, tenant_id: UUID, pipeline_id: UUID, file_id: UUID) -> File | None:
    """One file of a pipeline."""
    row = await connection.fetchrow(SQL["get"], tenant_id, pipeline_id, file_id)
    return None if row is None else File(*row)


async def hold(connection: Connection, tenant_id: UUID, pipeline_id: UUID, ids: Collection[UUID]) -> dict[UUID, File]:
    """Files of a pipeline, which stay until the transaction ends."""
    rows = await connection.fetch(SQL["hold"], tenant_id, pipeline_id, list(ids))
    return {row["id"]: File(*row) for row in rows}


async def names(connection: Connection, tenant_id: UUID, ids: Collection[UUID]) -> dict[UUID, str]:
    """What files are called."""
    return {row[0]: row[1] for row in await connection.fetch(SQL["names"], tenant_id, list(ids))}


async def uses(connection: Connection, tenant_id: UUID, ids: Collection[UUID]) -> list[Use]:
    """Where files are held, or once were."""
    return [Use(*row) for row in await connection.fetch(SQL["uses"], tenant_id, list(ids))]


async def use(connection: Connection, tenant_id: UUID, new: Sequence[Use]) -> None:
    """Lets records hold files."""
    if new:
        columns = [u.file_id for u in new], [u.record_id for u in new], [u.field for u in new]
        await connection.execute(SQL["use"], tenant_id, *columns)


async def claim(database: Database) -> list[End]:
    """What is due, of all tenants."""
    async with database.relay(RELAY) as connection:
        return [End(*row) for row in await connection.fetch(SQL["claim"])]


async def forget(connection: Connection, end: End) -> bool:
    """Whether an object may go; what was known of a file is gone then. Whoever is about to hold it is waited for."""
    if end.object is not None:
        return not await connection.fetchval(SQL["is_kept"], end.tenant_id, end.file_id)
    await connection.fetchval(SQL["lock"], end.tenant_id, end.file_id)
    await connection.execute(SQL["forget"], end.tenant_id, end.file_id)
    return not await connection.fetchval(SQL["is_used"], end.tenant_id, end.file_id)


async def ended(connection: Connection, end: End) -> None:
    """The object of a file is gone or stays, that of a job is gone."""
    await connection.execute(SQL["ended"], end.tenant_id, end.file_id)


async def postpone(connection: Connection, end: End) -> None:
    """Looks at a job's object again later."""
    await connection.execute(SQL["postpone"], end.tenant_id, end.file_id, UNUSED_SECONDS)


async def of_tenant(connection: Connection, tenant_id: UUID, limit: int) -> list[End]:
    """Files of a tenant, and objects that may become some, or are a job's."""
    return [End(*row) for row in await connection.fetch(SQL["of_tenant"], tenant_id, limit)]


async def forget_all(connection: Connection, tenant_id: UUID, ids: Collection[UUID]) -> None:
    """Forgets files whose objects are gone."""
    await connection.execute(SQL["forget_all"], tenant_id, list(ids))
