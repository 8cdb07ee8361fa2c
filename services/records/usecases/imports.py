"""Import a table: its rows through the same rules as any other write, a few hundred in a transaction."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from itertools import islice
from operator import itemgetter
from typing import Any, BinaryIO
from uuid import UUID

import msgspec

from libs.common.errors import Fault, Invalid
from libs.common.postgres import Connection, Database
from services.records.domain import mapping as mappings
from services.records.domain.definitions import Field
from services.records.domain.jobs import Job
from services.records.domain.operations import Create, Operation, Outcome, Upsert
from services.records.domain.reach import Reach
from services.records.domain.rows import RowShape, named, replaced
from services.records.domain.tables import Bad, Format, Table, Values, format_of, open_table
from services.records.storage import files, imports
from services.records.storage.files import End
from services.records.storage.imports import Refusal
from services.records.storage.objects import ObjectStore
from services.records.usecases import arriving
from services.records.usecases.batch import faults_of
from services.records.usecases.caller import Caller
from services.records.usecases.jobs import enqueue
from services.records.usecases.people import Strangers
from services.records.usecases.rehearsing import MAX_CLAIMS, Rehearsal, rehearse
from services.records.usecases.running import Steps
from services.records.usecases.writing import MAX_WAVES, Writer

KIND = arriving.KIND
CHUNK = 1_000
REHEARSED = 10_000
"""So many rows are a step of a dry run, as many as a batch may have: each is judged by all that those before it do."""
MAX_STEP_BYTES = 64 * 1024 * 1024
MAX_BYTES = 1024 * 1024 * 1024
SAMPLES = 5
MAX_REFUSED_BYTES = 16 * 1024 * 1024
"""How much of the rows that it refused is kept of an import, at the most."""
REPORTS = 50
"""Of how many imports of a tenant refused rows are kept."""
FORGOTTEN_AT_ONCE = 20_000

Numbered = tuple[int, Values | Bad]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What an import is asked for besides the file."""

    mapping: dict[str, str | None] | None = None
    upsert_by: str | None = None
    dry_run: bool = False


class ImportInput(Options, frozen=True, kw_only=True):
    """An import as its job keeps it; `object` is the key of the file, `size` what it takes up."""

    object: str
    format: Format
    size: int = 0


class Column(msgspec.Struct, frozen=True):
    """A column of a table, what it holds, and the field that its name suggests."""

    name: str
    samples: list[str]
    field: str | None


class Preview(msgspec.Struct, frozen=True):
    """What a file looks like, and which required fields no column gives."""

    format: str
    encoding: str | None
    delimiter: str | None
    columns: list[Column]
    missing: list[str]


async def start(
    caller: Caller, pipeline_id: UUID, job_id: UUID, head: bytes, media_type: str, name: str, asked: Options, size: int
) -> Job:
    """The job that imports a file that lies in the store."""
    key = object_key(caller.tenant_id, job_id)
    await caller.judged(pipeline_id, lambda reach: check_options(reach, asked))
    given = ImportInput(
        object=key, format=format_of(media_type, name, head), mapping=asked.mapping, upsert_by=asked.upsert_by,
        dry_run=asked.dry_run, size=size,
    )  # fmt: skip
    async with caller.database.tenant(caller.tenant_id) as connection:
        await arriving.require_place(connection, caller, size)
        return await enqueue(connection, caller.principal, KIND, given, pipeline_id=pipeline_id, job_id=job_id)


def check_options(reach: Reach, asked: Options) -> None:
    """Raises unless the caller may import so."""
    reach.require("create")
    if asked.mapping is not None:
        mappings.checked(asked.mapping, reach)
    if asked.upsert_by is not None:
        reach.require("update")
        field = reach.pipeline.fields.get(asked.upsert_by)
        if field is None or not field.unique or not reach.access("read").names(asked.upsert_by):
            detail = f"'{asked.upsert_by}' is not a unique field"
            raise Invalid(errors=[Fault("/upsert_by", "not_unique_field", detail)])


def object_key(tenant_id: UUID, job_id: UUID) -> str:
    """Where the file of a new import shall lie."""
    return f"{tenant_id}/imports/{job_id}"


async def preview(caller: Caller, pipeline_id: UUID, file: BinaryIO, media_type: str, name: str) -> Preview:
    """What the columns of a file suggest."""
    reach = await caller.reach(pipeline_id)
    reach.require("create")
    head = file.read(8)
    file.seek(0)
    return await asyncio.to_thread(_preview, reach, file, format_of(media_type, name, head))


def _preview(reach: Reach, file: BinaryIO, form: Format) -> Preview:
    table = open_table(file, form)
    rows = [row for row in islice(table.rows, 100) if not isinstance(row, Bad)]
    columns = table.columns or tuple(dict.fromkeys(name for row in rows for name in row))
    found = mappings.suggested(columns, reach)
    shown = [Column(name, _samples(rows, name), found.get(name)) for name in columns]
    missing = [n for n in reach.pipeline.required if n in mappings.takes(reach) and n not in found.values()]
    return Preview(table.format, table.encoding, table.delimiter, shown, missing)


def _samples(rows: Sequence[Values], name: str) -> list[str]:
    given = (str(row[name])[:100] for row in rows if row.get(name) not in (None, ""))
    return list(dict.fromkeys(given))[:SAMPLES]


class Importer:
    """Does the jobs of imports."""

    def __init__(self, objects: ObjectStore, database: Database) -> None:
        self._objects = objects
        self._database = database

    async def run(self, job: Job, step: Steps) -> object:
        """Goes on with an import where it was."""
        given = msgspec.convert(job.input, ImportInput)
        assert job.pipeline_id is not None
        caller = await step.caller()
        known = await caller.reach(job.pipeline_id)
        await caller.catalog.newer(caller.tenant_id, known.pipeline)
        reach = await caller.reach(job.pipeline_id)
        check_options(reach, given)
        async with self._local(given.object) as file:
            table = await asyncio.to_thread(open_table, file, given.format)
            shape = _shape(reach, table, given)
            number = int(job.checkpoint.get("row", 0))
            await asyncio.to_thread(_skip, table.rows, number)
            async with aclosing(_chunks(job, given, shape, table.rows, number)) as chunks:
                async for chunk in chunks:
                    await chunk.write(step)
        return _result(job, step.job, shape)

    async def forget(self, job: Job) -> None:
        """Takes the file away, and what a dry run noted; also what is left of others that broke off here."""
        tenant_id = job.principal.tenant_id
        await self._objects.delete([job.input["object"]])
        async with self._database.tenant(tenant_id) as connection:
            await files.ended(connection, End(tenant_id, job.id))
        gone = FORGOTTEN_AT_ONCE if job.input.get("dry_run") else 0
        while gone == FORGOTTEN_AT_ONCE:
            async with self._database.tenant(tenant_id) as connection:
                gone = await imports.unclaim(connection, tenant_id, FORGOTTEN_AT_ONCE)

    @asynccontextmanager
    async def _local(self, key: str) -> AsyncIterator[BinaryIO]:
        """The file on this machine, where it can be read back and forth."""
        with tempfile.TemporaryFile() as file:
            async for piece in self._objects.get(key):
                await asyncio.to_thread(file.write, piece)
            file.seek(0)
            yield file


def _shape(reach: Reach, table: Table, given: ImportInput) -> RowShape:
    found = mappings.suggested(table.columns, reach)
    fields = mappings.takes(reach)

    def suggest(column: str) -> str | None:
        return found.get(column) if table.columns else mappings.suggested([column], reach).get(column)

    return RowShape(fields, given.mapping, suggest)


def _skip(rows: Iterator[Values | Bad], count: int) -> None:
    for _ in islice(rows, count):
        pass


async def _chunks(
    job: Job, given: ImportInput, shape: RowShape, rows: Iterator[Values | Bad], after: int
) -> "AsyncGenerator[_Chunk, None]":
    """The rows in chunks, each read in a thread while the one before is written."""

    def read() -> _Chunk | None:
        nonlocal after
        taken = list(enumerate(_taken(rows, REHEARSED if given.dry_run else CHUNK), after + 1))
        after += len(taken)
        return _Chunk(job, given, shape, taken) if taken else None

    ahead = asyncio.create_task(asyncio.to_thread(read))
    try:
        while (chunk := await ahead) is not None:
            ahead = asyncio.create_task(asyncio.to_thread(read))
            yield chunk
    finally:
        # A thread cannot be stopped, and the file must not be closed under it.
        await asyncio.gather(ahead, return_exceptions=True)


def _taken(rows: Iterator[Values | Bad], most: int) -> Iterator[Values | Bad]:
    """The next rows, so many or until they are large together."""
    size = 0
    for row in islice(rows, most):
        yield row
        if not isinstance(row, Bad):
            size += sum(len(cell) for cell in row.values() if isinstance(cell, str))
            if size > MAX_STEP_BYTES:
                return


def _result(job: Job, now: Job, shape: RowShape) -> object:
    report = {"report_url": f"/api/v1/imports/{job.id}/report"} if now.refused else {}
    return {**report, "mapping": shape.used, "dry_run": job.input.get("dry_run", False)}


class _Chunk:
    """Some rows, written in one step."""

    def __init__(self, job: Job, given: ImportInput, shape: RowShape, rows: Sequence[Numbered]) -> None:
        self._job = job
        self._given = given
        self._last = rows[-1][0]
        self._cells = dict(rows)
        self._bad = {n: [Fault("", row.code, row.detail)] for n, row in rows if isinstance(row, Bad)}
        self._data = {n: shape.data(row) for n, row in rows if not isinstance(row, Bad)}

    async def write(self, step: Steps) -> None:
        """Writes the rows, and what became of them."""
        caller = await step.caller()
        assert self._job.pipeline_id is not None
        reach = await caller.reach(self._job.pipeline_id)
        await caller.warmed(lambda: self._once(caller, reach, step))

    async def _once(self, caller: Caller, reach: Reach, step: Steps) -> None:
        async with step() as now:
            data, refusals = await _related(caller, reach, now.connection, self._data)
            outcomes = dict(zip(data, await self._write(caller, reach, now.connection, data), strict=True))
            place = {**step.job.checkpoint, "row": self._last}
            rehearsal = await self._rehearse(reach, now.connection, outcomes, place)
            refusals |= rehearsal.refused
            created = updated = 0
            for number, outcome in outcomes.items():
                if outcome.error is not None:
                    refusals[number] = faults_of(outcome.error)
                elif number in rehearsal.refused:
                    continue
                elif outcome.status == "created" and number not in rehearsal.updated:
                    created += 1
                else:
                    updated += 1
            refused = [(number, _cells(self._cells[number]), it) for number, it in {**self._bad, **refusals}.items()]
            await self._refuse(now.connection, sorted(refused, key=itemgetter(0)), place)
            now.advance(place, done=len(self._cells), created=created, updated=updated, refused=len(refused))

    async def _write(
        self, caller: Caller, reach: Reach, connection: Connection, data: Mapping[int, dict[str, object]]
    ) -> list[Outcome]:
        by = self._given.upsert_by
        operations: list[Operation] = [Upsert(by, it) if by else Create(it) for it in data.values()]
        if self._given.dry_run:
            await connection.execute("savepoint dry")
        outcomes: list[Outcome] = []
        # However often rows of a run name the same record, there are waves enough for them.
        size = MAX_WAVES if by else len(operations) or 1
        for begin in range(0, len(operations), size):
            writer = Writer(caller, reach, connection)
            outcomes += await writer.run(operations[begin : begin + size], atomic=False)
        if self._given.dry_run:
            await connection.execute("rollback to savepoint dry")
        return outcomes

    async def _refuse(self, connection: Connection, refused: Sequence[Refusal], place: dict[str, Any]) -> None:
        tenant_id, used = self._job.principal.tenant_id, place.get("kept", 0)
        if refused and not used:
            await imports.let_go(connection, tenant_id, REPORTS)
        room = MAX_REFUSED_BYTES - used
        place["kept"] = used + await imports.refuse(connection, tenant_id, self._job.id, refused, room)

    async def _rehearse(
        self, reach: Reach, connection: Connection, outcomes: Mapping[int, Outcome], place: dict[str, Any]
    ) -> Rehearsal:
        """Of a dry run, what becomes of the rows when those of earlier steps are taken into account."""
        if not self._given.dry_run:
            return Rehearsal()
        tenant_id, by, claimed = self._job.principal.tenant_id, self._given.upsert_by, place.get("claimed", 0)
        room = MAX_CLAIMS - claimed
        found = await rehearse(connection, tenant_id, self._job.id, reach.pipeline, by, outcomes, room)
        place["claimed"] = claimed + len(found.claimed)
        return found


def _cells(row: Values | Bad) -> dict[str, object]:
    if isinstance(row, Bad):
        return {"": row.text}
    return {
        column: cell if isinstance(cell, str | int | float | bool | list | dict) else _shown(cell)
        for column, cell in row.items()
    }


def _shown(cell: object) -> str | None:
    return None if cell is None else str(cell)


async def _related(
    caller: Caller, reach: Reach, connection: Connection, rows: Mapping[int, dict[str, object]]
) -> tuple[dict[int, dict[str, object]], dict[int, list[Fault]]]:
    """The rows with the ids of the records and users that they name, and the faults of those that name nothing."""
    naming = (*reach.pipeline.relations, *reach.pipeline.users)
    if not naming:
        return dict(rows), {}
    data = {number: dict(row) for number, row in rows.items()}
    faults: dict[int, list[Fault]] = {}
    for field in naming:
        names = {name for row in data.values() for name in named(field, row)}
        ids = await _ids(caller, reach, connection, field, names) if names else {}
        for number, row in data.items() if names else ():
            if missing := replaced(field, row, ids):
                details = (f"Not exactly one goes by the name '{name}'" for name in missing)
                faults[number] = [Fault(f"/data/{field.name}", "not_found", detail) for detail in details]
    return {number: row for number, row in data.items() if number not in faults}, faults


async def _ids(caller: Caller, reach: Reach, connection: Connection, field: Field, names: set[str]) -> dict[str, str]:
    if field.type == "user":
        found = await imports.users_by_name(connection, caller.tenant_id, names)
        if strangers := caller.met.unasked(names - found.keys()):
            raise Strangers(names=strangers)
        return found | caller.met.by_name(names - found.keys())
    target = field.target_pipeline
    if target is None or not reach.leads_to(target):
        return {}
    access = reach.access("read", target)
    title = access.pipeline.title_fields
    by = field.display_field or (next(iter(title)) if len(title) == 1 else None)
    if by is None or not access.names(by):
        return {}
    return await imports.by_name(connection, caller.tenant_id, access, caller.context, by, names)
