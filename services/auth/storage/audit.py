"""The audit log."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from libs.common import sql
from libs.common.postgres import Connection
from services.auth.domain.audit import START, Filters, Kept

SQL = sql.load(__file__)


async def next_number(connection: Connection, tenant_id: UUID) -> tuple[int, bytes]:
    """The number of the next entry, and the hash of the one before it."""
    row = await connection.fetchrow(SQL["next"], tenant_id)
    assert row is not None
    return row[0], row[1]


async def salts(
    connection: Connection, tenant_id: UUID, offered: Mapping[UUID, bytes]
) -> dict[UUID, tuple[bytes | None, bool]]:
    """The salt of each person, and whether it is new and so not yet committed."""
    values = (tenant_id, list(offered), list(offered.values()))
    found = {row[0]: (row[1], row[2]) for row in await connection.fetch(SQL["salts"], *values)}
    if found.keys() != offered.keys():  # Somebody else made one just now.
        found |= {person: (salt, False) for person, salt in (await known_salts(connection, tenant_id, offered)).items()}
    return found


async def known_salts(connection: Connection, tenant_id: UUID, people: Iterable[UUID]) -> dict[UUID, bytes | None]:
    """The salts of people."""
    return {row[0]: row[1] for row in await connection.fetch(SQL["known_salts"], tenant_id, list(people))}


async def erase_salt(connection: Connection, tenant_id: UUID, person_id: UUID) -> None:
    """Nobody reads a person's names any more."""
    await connection.execute(SQL["erase_salt"], tenant_id, person_id)


async def append_after(connection: Connection, tenant_id: UUID, it: Kept, before: bytes) -> bool:
    """The entry behind one that has this hash; False where that is not the last any more."""
    values = (it.seq, it.at, it.action, it.actor_id, it.target_id, it.document, it.hash, before)
    return bool(await connection.fetchval(SQL["append_after"], tenant_id, *values))


async def append(connection: Connection, tenant_id: UUID, it: Kept) -> None:
    """The entry of the number that was just given."""
    values = (it.seq, it.at, it.action, it.actor_id, it.target_id, it.document, it.hash)
    await connection.execute(SQL["append"], tenant_id, *values)


async def head(connection: Connection, tenant_id: UUID) -> tuple[int, bytes]:
    """Number and hash of the newest entry; 0 and nothing where there is none."""
    row = await connection.fetchrow(SQL["head"], tenant_id)
    return (row[0], row[1]) if row else (0, START)


async def chain(connection: Connection, tenant_id: UUID, after: int, limit: int) -> list[Kept]:
    """Entries after a number, in order."""
    return [Kept(*row) for row in await connection.fetch(SQL["chain"], tenant_id, after, limit)]


async def page(connection: Connection, tenant_id: UUID, before: int, wanted: Filters, limit: int) -> list[Kept]:
    """Entries below a number that are wanted, newest first."""
    rows = await connection.fetch(SQL["page"], tenant_id, before, *_chosen(wanted), limit)
    return [Kept(*row) for row in rows]


async def count(connection: Connection, tenant_id: UUID, wanted: Filters) -> int:
    """How many entries are wanted."""
    return int(await connection.fetchval(SQL["count"], tenant_id, *_chosen(wanted)))


def _chosen(wanted: Filters) -> tuple[object, ...]:
    prefix = wanted.action[:-1] if wanted.action and wanted.action.endswith("*") else None
    action = wanted.action if prefix is None else None
    return action, prefix, wanted.actor_id, wanted.target_id, wanted.since, wanted.until
