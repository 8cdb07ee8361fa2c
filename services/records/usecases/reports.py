"""What an import refused, as a table to mend and bring again."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec

from libs.common.errors import Fault, NotFound
from services.records.domain.sheets import CsvSheet, cell_of
from services.records.storage import imports
from services.records.storage.imports import Refused
from services.records.usecases.caller import Caller
from services.records.usecases.imports import KIND
from services.records.usecases.jobs import get

PAGE = 500
MAX_COLUMNS = 1_000


async def refused(caller: Caller, job_id: UUID) -> AsyncIterator[bytes]:
    """CSV of the refused rows. They are as they were brought, so only who brought them sees them."""
    job = await get(caller, job_id, KIND)
    if job.principal.id != caller.principal.id:
        raise NotFound("There is no such report")
    return _pages(caller, job_id, job.refused)


async def _pages(caller: Caller, job_id: UUID, count: int) -> AsyncIterator[bytes]:
    """The rows, and at the end how many of so many are not kept: what an import refuses is kept up to a bound."""
    sheet, columns, after = CsvSheet(bom=False, guard=True), list[str](), 0
    while True:
        async with caller.database.tenant(caller.tenant_id) as connection:
            rows = await imports.refused(connection, caller.tenant_id, job_id, after, PAGE)
        cells = [msgspec.json.decode(row.cells, type=dict[str, Any]) for row in rows]
        begun = b""
        if not after:
            columns = list(dict.fromkeys(name for row in cells for name in row))[:MAX_COLUMNS]
            begun = sheet.begin(["row", "reasons", *(name or "unreadable" for name in columns)])
        lines = zip(rows, cells, strict=True)
        yield begun + sheet.rows([r.number, _why(r), *(cell_of(c.get(name)) for name in columns)] for r, c in lines)
        count -= len(rows)
        if len(rows) < PAGE:
            if count > 0:
                yield sheet.rows([["", f"{count} more rows were refused and are not kept", *("" for _ in columns)]])
            return
        after = rows[-1].number


def _why(row: Refused) -> str:
    faults = msgspec.json.decode(row.faults, type=list[Fault])
    return "; ".join(f"{fault.pointer.removeprefix('/data/') or 'row'}: {fault.detail}" for fault in faults)
