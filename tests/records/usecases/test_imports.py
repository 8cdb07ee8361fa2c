"""Whatever bytes are brought: every row becomes a record or is refused, and the counts sum up to the rows read."""

import asyncio
import io
import json
from typing import Any

import openpyxl
from hypothesis import example, given, settings
from hypothesis import strategies as st

from libs.common.errors import Invalid
from services.records.domain.fields import checked
from services.records.domain.rows import RowShape
from services.records.domain.tables import MAX_ROW, Bad, Format, open_table
from tests.records.domain.test_fields import pipeline as pipeline_of
from tests.records.routes.test_imports import FIELDS, imported, refusals
from tests.records.support import Service

MEDIA: dict[str, str] = {"csv": "text/csv", "ndjson": "application/x-ndjson", "xlsx": "application/zip"}

cells = st.one_of(
    st.sampled_from(["", "a", "a@example.com", "1", "-7.5", "yes", "x;y", "2024-01-01", '"', "\0", "=1+1", "12 EUR"]),
    st.text(max_size=8),
)
tables = st.lists(st.lists(cells, max_size=8), max_size=12).map(
    lambda rows: "\n".join(["name,email,score,active,tags,price,since", *(",".join(row) for row in rows)]).encode(
        "utf-8", "replace"
    )
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
documents = st.lists(st.dictionaries(st.sampled_from(["name", "email", "score", "tags", "price"]), values), max_size=8)
lines = documents.map(lambda rows: "\n".join(json.dumps(row) for row in rows).encode())


def sheet(*rows: list[Any]) -> bytes:
    """A workbook with these rows."""
    book, file = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.worksheets[0].append(row)
    book.save(file)
    return file.getvalue()


BROKEN = sheet(["name"], ["a"], ["b"])
broken = st.builds(
    lambda at, byte: BROKEN[: at % len(BROKEN)] + bytes((byte,)) + BROKEN[at % len(BROKEN) + 1 :],
    st.integers(0, 100_000),
    st.integers(0, 255),
)
files = st.one_of(
    st.tuples(st.just("csv"), tables | st.binary(max_size=300)),
    st.tuples(st.just("ndjson"), lines | st.binary(max_size=300)),
    st.tuples(st.just("xlsx"), broken),
)


@settings(max_examples=300)
@given(files)
@example(("csv", b'name\n"never closed'))
@example(("csv", b"\xff\xfea\x00\n"))
@example(("csv", b"name\n\xff\xfe\n"))
def test_any_bytes_are_rows_or_no_table(file: tuple[Format, bytes]) -> None:
    """Reading never breaks: a file is no table, or its rows are data or unreadable, and the same each time."""
    pipeline = pipeline_of(*FIELDS)
    form, content = file
    try:
        rows = list(open_table(io.BytesIO(content), form).rows)
    except Invalid:
        return
    assert repr(rows) == repr(list(open_table(io.BytesIO(content), form).rows))
    shape = RowShape(pipeline.fields, None, lambda name: name if name in pipeline.fields else None)
    for row in rows:
        if not isinstance(row, Bad):
            checked(pipeline, shape.data(row))


def test_rows_are_bounded() -> None:
    """A row longer than rows may be, on one line or on many, is refused alone, and reading goes on behind it."""
    long = b"x" * (MAX_ROW + 10)
    found = list(open_table(io.BytesIO(b"name\na\n" + long + b"\nb\n"), "csv").rows)
    assert [row.code if isinstance(row, Bad) else row["name"] for row in found] == ["a", "too_long", "b"]
    many = b'"' + b"x\n" * MAX_ROW
    found = list(open_table(io.BytesIO(b"name\n" + many), "csv").rows)
    assert isinstance(found[0], Bad)
    found = list(open_table(io.BytesIO(b'{"a":"' + long + b'"}\n{"a":1}'), "ndjson").rows)
    assert [isinstance(row, Bad) for row in found] == [True, False]


@settings(max_examples=30)
@given(files)
def test_every_row_is_made_or_refused(loop: tuple[asyncio.Runner, Service], file: tuple[Format, bytes]) -> None:
    """What an import counts is what is there: as many records as were created, as many lines as were refused."""
    runner, service = loop
    if file[1]:
        runner.run(_bring(service, *file))


people = st.lists(
    st.tuples(st.sampled_from(["", "a", "b"]), *(st.sampled_from(["", "1", "2", "3", "4"]),) * 2),
    min_size=1,
    max_size=8,
)


@settings(max_examples=15)
@given(people, st.sampled_from([None, "email"]))
@example([("a", "1", "4"), ("b", "2", "1"), ("", "1", "2")], "email")
@example([("a", "1", "3"), ("a", "1", "4"), ("a", "2", "3")], "email")
def test_a_dry_run_says_what_the_run_will_do(
    loop: tuple[asyncio.Runner, Service], rows: list[tuple[str, str, str]], by: str | None
) -> None:
    """Counts and refused rows are those of the run, whatever earlier rows take, set free or change."""
    runner, service = loop
    runner.run(_compare(service, rows, by))


async def _compare(service: Service, rows: list[tuple[str, str, str]], by: str | None) -> None:
    pipeline = service.pipeline(*FIELDS, {"name": "code", "type": "text", "unique": True})
    for it in "12":
        await service.client.create(pipeline, {"name": "there", "email": f"{it}@x.example", "code": it})
    lines = [f"{name},{mail and f'{mail}@X.example'},{code}" for name, mail, code in rows]
    body = "\n".join(["name,email,code", *lines]).encode()
    told: list[Any] = []
    for dry in ("true", "false"):
        params = {"dry_run": dry, **({} if by is None else {"upsert_by": by})}
        job = await imported(service.client, pipeline, body, **params)
        refused = await refusals(service.client, job) if job["refused"] else []
        told.append((job["created"], job["updated"], refused))
    assert told[0] == told[1]


async def _bring(service: Service, form: Format, content: bytes) -> None:
    pipeline = service.pipeline(*FIELDS)
    job = await imported(service.client, pipeline, content, MEDIA[form])
    assert job["state"] == "done" or job["error"]["code"] in ("unreadable-file", "too-many-columns"), job
    page = (await service.client.get(f"/pipelines/{pipeline}/records?count=exact&limit=1")).json()
    assert page["count"] == job["created"]
    refused = await refusals(service.client, job) if job["refused"] else []
    assert len(refused) == job["refused"]
