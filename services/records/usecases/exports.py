"""Take records away as a file: at once while the client reads, or as a job whose result waits to be fetched."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, TypeAlias
from uuid import UUID

import msgspec

from libs.common import outbox
from libs.common.errors import NotFound, RateLimited, Unavailable
from libs.common.plans import require_room
from services.records.domain.jobs import Job
from services.records.domain.operations import related_ids
from services.records.domain.permissions import both
from services.records.domain.reach import Reach
from services.records.domain.records import actor_of, streamed
from services.records.domain.sheets import Cell, CsvSheet, Format, Sheet, XlsxSheet, cell_of
from services.records.storage import exports, files, jobs, records
from services.records.storage.exports import Batch
from services.records.storage.listing import Query
from services.records.storage.objects import ObjectStore
from services.records.usecases import views
from services.records.usecases.caller import Caller
from services.records.usecases.jobs import enqueue, get
from services.records.usecases.read import ListRequest, compile_query
from services.records.usecases.running import Steps

KIND = "export"
STREAMS = 3
STREAMS_OF_TENANT = 2
STREAM_SECONDS = 600.0
TOLD_ROWS = 5_000
TOLD_BYTES = 8 * 1024 * 1024

Piece: TypeAlias = tuple[int, bytes]
"""How many records a piece of a file holds, and the piece."""

_streams = asyncio.Semaphore(STREAMS)
_reading: Counter[UUID] = Counter()
_data = msgspec.json.Decoder(dict[str, Any])


class ExportRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Which records, as in a list, and how: `guard` keeps spreadsheets from taking text for formulas."""

    format: Format = "csv"
    pairs: list[tuple[str, str]] = []
    sort: str | None = None
    fields: str | None = None
    view: str | None = None
    bom: bool = False
    guard: bool = True


class Source(msgspec.Struct, frozen=True):
    """The query of an export, and the fields it shows, in the order of the pipeline."""

    query: Query
    names: tuple[str, ...]


async def stream(caller: Caller, pipeline_id: UUID, asked: ExportRequest) -> AsyncIterator[bytes]:
    """The file while it is made. The first piece is there before it returns, so that what is refused is refused."""
    if _streams.locked() or _reading[caller.tenant_id] >= STREAMS_OF_TENANT:
        raise RateLimited("Too many exports are being read; ask for a job", code="too-many-exports", retry_after=10)
    source = await _source(caller, pipeline_id, asked)
    await _tell(caller, pipeline_id, asked.format)
    pieces = _bounded(caller.tenant_id, _pieces(caller, source, asked))
    _, first = await anext(pieces)
    return _read(first, pieces)


async def _tell(caller: Caller, pipeline_id: UUID, form: Format) -> None:
    """Announces that records leave, for who keeps the audit log, before the first of them does."""
    async with caller.database.tenant(caller.tenant_id) as connection:
        await outbox.record(connection, caller.tenant_id, [streamed(pipeline_id, form, actor_of(caller.principal))])


async def _bounded(tenant_id: UUID, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[Piece, None]:
    """The pieces, in one of the places there are, which is given back however the reading ends. They are of one
    snapshot, which keeps the database from clearing up, so who takes them too slowly does not get all.
    """
    end = time.monotonic() + STREAM_SECONDS
    _reading[tenant_id] += 1
    try:
        async with _streams, aclosing(pieces):
            async for piece in pieces:
                if time.monotonic() > end:
                    raise Unavailable("The export was read too slowly; ask for a job", code="export-too-slow")
                yield piece
    finally:
        _reading[tenant_id] -= 1
        if not _reading[tenant_id]:
            del _reading[tenant_id]


async def _read(first: bytes, rest: AsyncGenerator[Piece, None]) -> AsyncIterator[bytes]:
    async with aclosing(rest):
        yield first
        async for _, piece in rest:
            yield piece


async def start(caller: Caller, pipeline_id: UUID, asked: ExportRequest) -> Job:
    """The job that makes the file, where the plan has room for any."""
    await _source(caller, pipeline_id, asked)
    require_room("storage_bytes", *await _room(caller))
    async with caller.database.tenant(caller.tenant_id) as connection:
        return await enqueue(connection, caller.principal, KIND, asked, pipeline_id=pipeline_id)


async def result(caller: Caller, objects: ObjectStore, job_id: UUID) -> tuple[Format, int, AsyncIterator[bytes]]:
    """Format, size and bytes of what a job made. It was made with the rights of who asked, so only they have it."""
    job = await get(caller, job_id, KIND)
    key = object_key(caller.tenant_id, job.id)
    size = await objects.size(key) if job.result and "report_url" in job.result else None
    if size is None or job.principal.id != caller.principal.id:
        raise NotFound("There is no such file, or it is kept no longer")
    assert job.pipeline_id is not None
    (await caller.reach(job.pipeline_id)).require("export")
    return msgspec.convert(job.input, ExportRequest).format, size, objects.get(key)


def object_key(tenant_id: UUID, job_id: UUID) -> str:
    """Where the result of an export lies."""
    return f"{tenant_id}/exports/{job_id}"


async def _source(caller: Caller, pipeline_id: UUID, asked: ExportRequest) -> Source:
    view = None if asked.view is None else await views.find(caller, pipeline_id, asked.view)
    given = ListRequest(pairs=asked.pairs, sort=asked.sort, fields=asked.fields, limit=1)

    async def work(reach: Reach) -> Source:
        export = reach.require("export")
        query, _ = compile_query(caller, reach, given, view)
        access = both(query.access, export)
        shown = [n for n in reach.pipeline.fields if access.names(n) and (query.only is None or n in query.only)]
        return Source(msgspec.structs.replace(query, access=access), tuple(shown))

    return await caller.settled(pipeline_id, work)


async def _pieces(caller: Caller, source: Source, asked: ExportRequest) -> AsyncGenerator[Piece, None]:
    lines = asked.format == "ndjson"
    sheet: Sheet = XlsxSheet() if asked.format == "xlsx" else CsvSheet(bom=asked.bom, guard=asked.guard)
    begun = b"" if lines else sheet.begin(["id", *source.names, "created_at", "updated_at"])
    batches = exports.rows(caller.reads, caller.tenant_id, source.query, bodies=lines)
    async with aclosing(batches):
        async for batch in batches:
            called = {} if lines else await _file_names(caller, source, batch)
            yield len(batch), begun + (_lines(batch) if lines else sheet.rows(_cells(source.names, batch, called)))
            begun = b""
    yield 0, begun if lines else begun + sheet.end()


def _lines(batch: Batch) -> bytes:
    return "".join(f"{body}\n" for _, body, _, _ in batch).encode()


async def _file_names(caller: Caller, source: Source, batch: Batch) -> dict[str, dict[str, str]]:
    """By field that holds files what those of a batch are called, by id."""
    known = source.query.access.pipeline.fields
    fields = [name for name in source.names if known[name].type == "file"]
    if not fields:
        return {}
    held = {UUID(it) for _, text, _, _ in batch for name in fields for it in related_ids(_data.decode(text).get(name))}
    async with caller.reads.tenant(caller.tenant_id) as connection:
        names = await files.names(connection, caller.tenant_id, held)
    words = {str(file_id): name for file_id, name in names.items()}
    return dict.fromkeys(fields, words)


def _cells(names: Sequence[str], batch: Batch, called: Mapping[str, Mapping[str, str]]) -> Iterable[Sequence[Cell]]:
    for id_, text, created, updated in batch:
        data = _data.decode(text)
        for name, words in called.items():
            data[name] = [words.get(held, held) for held in related_ids(data.get(name))]
        yield [id_, *(cell_of(data.get(name)) for name in names), created, updated]


async def _room(caller: Caller) -> tuple[int | None, int]:
    limit = (await caller.catalog.plans.of(caller.tenant_id)).storage_bytes
    if limit is None:
        return None, 0
    async with caller.database.tenant(caller.tenant_id) as connection:
        return limit, await files.stored_bytes(connection, caller.tenant_id)


class Kept:
    """A file that is kept. While it is made its job notes its size, which counts to what the plan has room for; so of
    several that are made at once none takes what another has already.
    """

    def __init__(self, limit: int | None, step: Steps) -> None:
        self._limit = limit
        self._step = step
        self.size = 0

    async def pieces(self, pieces: AsyncGenerator[Piece, None]) -> AsyncIterator[bytes]:
        """The pieces, as far as there is room, telling now and then how many records went by."""
        rows, noted = -self._step.job.done, 0
        async with aclosing(pieces):
            async for count, piece in pieces:
                rows, self.size = rows + count, self.size + len(piece)
                if rows >= TOLD_ROWS or self.size - noted >= TOLD_BYTES:
                    rows, noted = await self._note(rows), self.size
                yield piece
        await self._note(rows)

    async def _note(self, rows: int) -> int:
        """Notes the size and what was not told of so many records; how many remain."""
        async with self._step() as now:
            if self._limit is not None:
                tenant_id, before = self._step.job.principal.tenant_id, self._step.job.checkpoint.get("size", 0)
                await records.take_turns(now.connection, tenant_id)
                others = await files.stored_bytes(now.connection, tenant_id) - before
                require_room("storage_bytes", self._limit, others, self.size)
            now.advance({"size": self.size}, done=max(0, rows))
        return min(0, rows)


class Exporter:
    """Does the jobs of exports."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    async def run(self, job: Job, step: Steps) -> object:
        """Makes the file anew: a list under one snapshot has no middle to go on from."""
        asked = msgspec.convert(job.input, ExportRequest)
        caller = await step.caller()
        assert job.pipeline_id is not None
        source = await _source(caller, job.pipeline_id, asked)
        key = object_key(caller.tenant_id, job.id)
        await self._expire(caller, step, key)
        kept = Kept((await caller.catalog.plans.of(caller.tenant_id)).storage_bytes, step)
        await self._objects.put(key, kept.pieces(_pieces(caller, source, asked)))
        return {"report_url": f"/api/v1/exports/{job.id}/download", "size": kept.size}

    async def forget(self, job: Job) -> None:
        """Takes away what a job made that did not end well; what is still being written then goes when it is due."""
        if job.state != "done":
            await self._objects.delete([object_key(job.principal.tenant_id, job.id)])

    async def _expire(self, caller: Caller, step: Steps, key: str) -> None:
        """Takes away what is too old, and notes what will be made, so that it goes as well, however the job ends."""
        async with step() as now:
            await files.expect_object(now.connection, caller.tenant_id, step.job.id, key)
            old = await jobs.expire(now.connection, caller.tenant_id)
        await self._objects.delete([object_key(caller.tenant_id, job_id) for job_id in old])
