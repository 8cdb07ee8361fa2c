"""What imports need besides writing records: rows that were refused, and records by the names that tables call them."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate
from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.errors import Fault
from libs.common.filters import Context
from libs.common.postgres import Connection
from services.records.domain.permissions import Access

SQL = sql.load(__file__)

_json = msgspec.json.Encoder()


class Refused(msgspec.Struct, frozen=True):
    """A row that was refused; `cells` and `faults` are JSON texts."""

    number: int
    cells: str
    faults: str


Refusal = tuple[int, dict[str, object], Sequence[Fault]]


async def take_turn(connection: Connection, tenant_id: UUID, pipeline_id: UUID) -> None:
    """Waits until no other import writes to a pipeline by values that its records have, in this transaction."""
    await connection.execute(SQL["take_turn"], tenant_id, pipeline_id)


async def refuse(connection: Connection, tenant_id: UUID, job_id: UUID, rows: Sequence[Refusal], room: int) -> int:
    """Notes rows that could not become records, the first of them that have room; how much of it is used up by now."""
    encoded = [(number, _json.encode(cells), _json.encode(faults)) for number, cells, faults in rows]
    sizes = list(accumulate(len(cells) + len(faults) for _, cells, faults in encoded))
    kept = encoded[: bisect_right(sizes, room)]
    if kept:
        await connection.execute(
            SQL["refuse"], tenant_id, job_id, [number for number, _, _ in kept],
            [cells.decode() for _, cells, _ in kept], [faults.decode() for _, _, faults in kept],
        )  # fmt: skip
    if len(kept) < len(rows):
        return room
    return sizes[-1] if sizes else 0


async def let_go(connection: Connection, tenant_id: UUID, keep: int) -> None:
    """Lets go of the refused rows of all imports but the last ones that had any."""
    await connection.execute(SQL["let_go"], tenant_id, keep)


async def claims(
    connection: Connection, tenant_id: UUID, job_id: UUID, digests: Collection[bytes]
) -> dict[bytes, UUID]:
    """Which of the values a dry run has given to a record already, and to which."""
    rows = await connection.fetch(SQL["claims"], tenant_id, job_id, list(digests))
    return {row["digest"]: row["holder"] for row in rows}


async def claim(connection: Connection, tenant_id: UUID, job_id: UUID, holders: Mapping[bytes, UUID]) -> None:
    """Notes what a dry run gives to records."""
    if holders:
        await connection.execute(SQL["claim"], tenant_id, job_id, list(holders), list(holders.values()))


async def unclaim(connection: Connection, tenant_id: UUID, most: int) -> int:
    """Forgets some of what dry runs gave that have ended; how much that was."""
    return int(await connection.fetchval(SQL["unclaim"], tenant_id, most))


async def refused(connection: Connection, tenant_id: UUID, job_id: UUID, after: int, limit: int) -> list[Refused]:
    """Refused rows of a job, in their order."""
    return [Refused(*row) for row in await connection.fetch(SQL["refused"], tenant_id, job_id, after, limit)]


async def by_name(
    connection: Connection, tenant_id: UUID, access: Access, context: Context, field: str, names: Collection[str]
) -> dict[str, str]:
    """The ids of the records that may be seen and whose field has one of the names, where only one has it."""
    params: list[object] = [tenant_id, access.pipeline.id, list(names), field]
    condition = access.condition(params, context, using=frozenset((field,)))
    rows = await connection.fetch(SQL["by_name"].replace("{condition}", condition), *params)
    return _single([(row[0], str(row[1])) for row in rows])


async def users_by_name(connection: Connection, tenant_id: UUID, names: Collection[str]) -> dict[str, str]:
    """The ids of the users with these names, where only one has it."""
    rows = await connection.fetch(SQL["users_by_name"], tenant_id, list(names))
    return _single([(row[0], str(row[1])) for row in rows])


def _single(found: Sequence[tuple[str, str]]) -> dict[str, str]:
    times = Counter(name for name, _ in found)
    return {name: id_ for name, id_ in found if times[name] == 1}
