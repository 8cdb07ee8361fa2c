"""Bringing records along with their definition: who writes, which records are next, what moves where."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.postgres import Connection
from services.records.domain.records import Edge
from services.records.storage.records import Locked

SQL = sql.load(__file__)

_json = msgspec.json.Encoder()


async def hold(connection: Connection, tenant_id: UUID, pipeline_id: UUID) -> int | None:
    """The newest version of a definition that was heard of; who makes a newer one waits for this transaction."""
    found: int | None = await connection.fetchval(SQL["hold"], tenant_id, pipeline_id)
    return found


async def writers(connection: Connection, tenant_id: UUID, pipeline_id: UUID) -> set[str]:
    """The transactions that write to a pipeline now."""
    return {row[0] for row in await connection.fetch(SQL["writers"], tenant_id, pipeline_id)}


async def following(
    connection: Connection, tenant_id: UUID, pipeline_id: UUID, after: UUID, limit: int, *, trashed: bool
) -> list[UUID]:
    """The next records of a pipeline, in the order of their ids."""
    statement = SQL["next_trashed" if trashed else "next_live"]
    return [row[0] for row in await connection.fetch(statement, tenant_id, pipeline_id, after, limit)]


async def count(connection: Connection, tenant_id: UUID, pipeline_id: UUID) -> int:
    """How many records a pipeline has, in the trash as well."""
    found: int = await connection.fetchval(SQL["count"], tenant_id, pipeline_id)
    return found


async def live(connection: Connection, tenant_id: UUID, pipeline_id: UUID) -> int:
    """How many records a pipeline has that are not in the trash."""
    found: int = await connection.fetchval(SQL["live"], tenant_id, pipeline_id)
    return found


async def values(
    connection: Connection, tenant_id: UUID, pipeline_id: UUID, names: Collection[str], after: UUID, limit: int
) -> list[tuple[UUID, dict[str, object]]]:
    """What the next records have in some fields, in the order of their ids."""
    rows = await connection.fetch(SQL["values"], tenant_id, pipeline_id, list(names), after, limit)
    return [(row[0], msgspec.json.decode(row[1] or "{}")) for row in rows]


async def lock(connection: Connection, tenant_id: UUID, ids: Collection[UUID]) -> list[Locked]:
    """Locks those of the records that nobody is writing."""
    return [Locked(*row) for row in await connection.fetch(SQL["lock"], tenant_id, list(ids))]


async def shape(
    connection: Connection, tenant_id: UUID, rows: Sequence[tuple[UUID, str, Mapping[str, object]]]
) -> None:
    """Writes title and data of locked records, which are no other than before but for names."""
    if rows:
        columns = [r[0] for r in rows], [r[1] for r in rows], [_json.encode(r[2]).decode() for r in rows]
        await connection.execute(SQL["shape"], tenant_id, *columns)


async def keep(
    connection: Connection, tenant_id: UUID, pipeline_id: UUID, values: Sequence[tuple[str, UUID, object]]
) -> None:
    """Puts values into the trash of fields: key, record, value."""
    if values:
        columns = [v[0] for v in values], [v[1] for v in values], [_json.encode(v[2]).decode() for v in values]
        await connection.execute(SQL["keep"], tenant_id, pipeline_id, *columns)


async def take_back(
    connection: Connection, tenant_id: UUID, pipeline_id: UUID, keys: Collection[str], ids: Collection[UUID]
) -> dict[UUID, dict[str, object]]:
    """Takes values out of the trash of fields: by record, by key."""
    found: dict[UUID, dict[str, object]] = {}
    for row in await connection.fetch(SQL["take_back"], tenant_id, pipeline_id, list(keys), list(ids)):
        found.setdefault(row["record_id"], {})[row["key"]] = msgspec.json.decode(row["value"])
    return found


async def rename_history(connection: Connection, tenant_id: UUID, ids: Collection[UUID], old: str, new: str) -> None:
    """Lets a field go by another name in the history of records."""
    await connection.execute(SQL["rename_history"], tenant_id, list(ids), old, new)


async def keep_history(
    connection: Connection, tenant_id: UUID, pipeline_id: UUID, ids: Collection[UUID], name: str, key: str
) -> None:
    """Puts what the history of records says of a field into the trash."""
    await connection.execute(SQL["keep_history"], tenant_id, pipeline_id, list(ids), name, key)


async def take_back_history(
    connection: Connection, tenant_id: UUID, pipeline_id: UUID, ids: Collection[UUID], key: str, name: str
) -> None:
    """And out of it again."""
    await connection.execute(SQL["take_back_history"], tenant_id, pipeline_id, list(ids), key, name)


async def rename_edges(connection: Connection, tenant_id: UUID, ids: Collection[UUID], old: str, new: str) -> None:
    """Lets the relationships that a field made be those of a field of another name."""
    await connection.execute(SQL["rename_edges"], tenant_id, list(ids), old, new)


async def cut_edges(connection: Connection, tenant_id: UUID, ids: Collection[UUID], field: str) -> list[Edge]:
    """Takes away the relationships that a field made."""
    return [Edge(*row) for row in await connection.fetch(SQL["cut_edges"], tenant_id, list(ids), field)]


async def purge(connection: Connection, tenant_id: UUID, pipeline_id: UUID, key: str, limit: int) -> int:
    """Takes away some of what is left of a removed field; how much."""
    return _rows(await connection.execute(SQL["purge"], tenant_id, pipeline_id, key, limit))


async def forget_claims(connection: Connection, tenant_id: UUID, pipeline_id: UUID, name: str, limit: int) -> int:
    """Takes away some of the claims under a name that is used no more; how many."""
    return _rows(await connection.execute(SQL["forget_claims"], tenant_id, pipeline_id, name, limit))


async def settle(connection: Connection, tenant_id: UUID, pipeline_id: UUID, job_id: UUID) -> None:
    """Notes that a job has brought all records of a pipeline along."""
    await connection.execute(SQL["settle"], tenant_id, pipeline_id, job_id)


def _rows(status: str) -> int:
    return int(status.rpartition(" ")[2])
