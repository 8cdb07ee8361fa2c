"""What imports need besides writing records: rows that were refused, and records by the names that tables call them."""

from collections import Counter
from collections.abc import Collection, Sequence
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


async def refuse(connection: Connection, tenant_id: UUID, job_id: UUID, rows: Sequence[Refusal]) -> None:
    """Notes rows that could not become records."""
    if rows:
        await connection.execute(
            SQL["refuse"], tenant_id, job_id, [number for number, _, _ in rows],
            [_json.encode(cells).decode() for _, cells, _ in rows],
            [_json.encode(faults).decode() for _, _, faults in rows],
        )  # fmt: skip


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
