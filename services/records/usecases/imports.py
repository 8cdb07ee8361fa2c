"""Import a table: its rows through the same rules as any other write, a few hundred in a transaction."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from itertools import islice
from typing import BinaryIO
from uuid import UUID

import msgspec

from libs.common.errors import Fault, Invalid
from libs.common.postgres import Database
from services.records.domain import mapping as mappings
from services.records.domain.jobs import Job
from services.records.domain.reach import Reach
from services.records.domain.rows import RowShape
from services.records.domain.tables import Bad, Format, Table, Values, format_of, open_table
from services.records.storage import files, imports
from services.records.storage.files import End
from services.records.storage.objects import ObjectStore
from services.records.usecases import arriving
from services.records.usecases.caller import Caller
from services.records.usecases.importing import Chunk, Options
from services.records.usecases.jobs import enqueue
from services.records.usecases.running import Steps

KIND = arriving.KIND
CHUNK = 1_000
REHEARSED = 10_000
"""So many rows are a step of a dry run, as many as a batch may have: each is judged by all that those before it do."""
MAX_STEP_BYTES = 64 * 1024 * 1024
MAX_BYTES = 1024 * 1024 * 1024
SAMPLES = 5
FORGOTTEN_AT_ONCE = 20_000


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
            if not step.job.done:
                _require_header(reach, table, given)
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


def _require_header(reach: Reach, table: Table, given: ImportInput) -> None:
    """Raises where no row was read and the first one names no field: whatever the file is, it is no such table."""
    known = mappings.suggested(table.columns, reach) if given.mapping is None else given.mapping
    if table.columns and not any(known.get(column) for column in table.columns):
        shown = ", ".join(table.columns)[:200]
        detail = f"A table was expected, but nothing follows its first row, and none of its columns is a field: {shown}"
        raise Invalid(detail, code="unreadable-file")


def _skip(rows: Iterator[Values | Bad], count: int) -> None:
    for _ in islice(rows, count):
        pass


async def _chunks(
    job: Job, given: ImportInput, shape: RowShape, rows: Iterator[Values | Bad], after: int
) -> AsyncGenerator[Chunk, None]:
    """The rows in chunks, each read in a thread while the one before is written."""

    def read() -> Chunk | None:
        nonlocal after
        taken = list(enumerate(_taken(rows, REHEARSED if given.dry_run else CHUNK), after + 1))
        after += len(taken)
        return Chunk(job, given, shape, taken) if taken else None

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
