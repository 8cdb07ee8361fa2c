"""Tables brought in: every row becomes a record or is refused with reasons."""

import asyncio
import csv
import gzip
import io
import json
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import httpx
import jwt
import msgspec
import openpyxl
import pytest

from libs.common.permissions import Grant
from libs.common.plans import Limits
from services.records.usecases import arriving, importing, imports
from tests.records.support import Client, Service
from tests.support.waiting import eventually

FIELDS: list[dict[str, Any]] = [
    {"name": "name", "type": "text", "required": True},
    {"name": "email", "type": "email", "unique": True},
    {"name": "score", "type": "number"},
    {"name": "active", "type": "boolean"},
    {"name": "tags", "type": "tags"},
    {"name": "price", "type": "currency", "currency": "EUR"},
    {"name": "since", "type": "date"},
]


class Planned(msgspec.Struct, frozen=True):
    """A tenant with a plan, as auth announces it."""

    id: UUID
    limits: Limits


def stored(service: Service) -> list[Path]:
    """The objects in the store."""
    return [path for path in Path(urlsplit(service.files_url).path).rglob("*") if path.is_file()]


async def imported(
    client: Client, pipeline: UUID, body: bytes, media: str = "text/csv", **params: Any
) -> dict[str, Any]:
    """The job of an import that has ended."""
    path = f"/pipelines/{pipeline}/imports"
    response = await client.call("POST", path, content=body, headers={"content-type": media}, params=params)
    return await ended(client, response)


async def ended(client: Client, response: httpx.Response) -> dict[str, Any]:
    """The job that a response speaks of, at its end."""
    assert response.status_code == 202, response.text
    found: dict[str, Any] = response.json()

    async def over() -> bool:
        found.update((await client.get(f"/jobs/{found['id']}")).json())
        return found["state"] not in ("queued", "running")

    await eventually(over)
    assert found["created"] + found["updated"] + found["refused"] == found["progress"]["done"], found
    return found


async def listed(client: Client, pipeline: UUID) -> list[dict[str, Any]]:
    """The data of all records, by name."""
    page = (await client.get(f"/pipelines/{pipeline}/records?sort=name&limit=200")).json()
    return [item["data"] for item in page["items"]]


async def refusals(client: Client, job: dict[str, Any]) -> list[dict[str, str]]:
    """The rows of a job's report."""
    response = await client.get(job["report_url"].removeprefix("/api/v1"))
    assert response.status_code == 200
    return list(csv.DictReader(io.StringIO(response.text)))


async def test_rows_of_csv_become_records_or_are_refused(service: Service) -> None:
    """Columns go where their names say, cells are read by their field's type, and bad rows are told with reasons."""
    pipeline = service.pipeline(*FIELDS)
    body = (
        "Name;E-Mail;Score;Active;Tags;Price;Since;Else\r\n"
        "Ada;ada@example.com;1;yes;a,b;12.50;2024-02-29;x\r\n"
        'Bob;bob@example.com;2.5;no;"c";"7 EUR";31.12.2023;\r\n'
        "\r\n"
        ";nobody@example.com;1;;;;;\r\n"
        "Cid;ada@example.com;many;;;;;\r\n"
        "Dan;ada@example.com;;;;;;\r\n"
        "Eve;;;;;;;;;too many\r\n"
    )
    job = await imported(service.client, pipeline, body.encode())
    assert (job["state"], job["created"], job["updated"], job["refused"]) == ("done", 2, 0, 4)
    assert await listed(service.client, pipeline) == [
        {"name": "Ada", "email": "ada@example.com", "score": 1, "active": True, "tags": ["a", "b"],
         "price": {"amount": 12.5, "currency": "EUR"}, "since": "2024-02-29"},
        {"name": "Bob", "email": "bob@example.com", "score": 2.5, "active": False, "tags": ["c"],
         "price": {"amount": 7, "currency": "EUR"}, "since": "2023-12-31"},
    ]  # fmt: skip
    rows = await refusals(service.client, job)
    assert [row["row"] for row in rows] == ["3", "4", "5", "6"]
    assert "name" in rows[0]["reasons"]
    assert "A number is expected" in rows[1]["reasons"]
    assert "Another record has this" in rows[2]["reasons"]
    assert rows[1]["Score"] == "many"


async def test_a_form_brings_file_and_options(service: Service) -> None:
    """A form's mapping and upsert key hold, a row that is there already is updated, and history knows of it."""
    pipeline = service.pipeline(*FIELDS)
    made = await service.client.create(pipeline, {"name": "Ada", "email": "ada@example.com"})
    response = await service.client.post(
        f"/pipelines/{pipeline}/imports",
        files={
            "file": (
                "people.csv",
                b"who,mail,n\nAda L,ada@example.com,5\nBob,bob@example.com,6\nBob2,bob@example.com,7\n",
            )
        },
        data={"mapping": json.dumps({"who": "name", "mail": "email", "n": None}), "upsert_by": "email"},
    )
    job = await ended(service.client, response)
    assert (job["created"], job["updated"], job["refused"]) == (1, 2, 0)
    assert [row["name"] for row in await listed(service.client, pipeline)] == ["Ada L", "Bob2"]
    history = (await service.client.get(f"/pipelines/{pipeline}/records/{made['id']}/history")).json()
    assert [line["operation"] for line in history["items"]] == ["updated", "created"]


async def test_lines_of_json_and_sheets_are_read(service: Service) -> None:
    """NDJSON keeps its types, a workbook's cells are dates and numbers, and unreadable lines are refused."""
    pipeline = service.pipeline(*FIELDS)
    lines = b'{"name":"a","score":1}\n{"name":"b","tags":["x"]}\nnonsense\n[1]\n{"name":"c","score":"z"}\n'
    lines += b'\n{"name":"d\\u0000"}'
    job = await imported(service.client, pipeline, lines, "application/x-ndjson")
    assert (job["created"], job["refused"]) == (2, 4)
    book = openpyxl.Workbook()
    book.active.append(["Name", "Score", "Since"])
    book.active.append(["x", 3, date(2024, 1, 2)])
    book.active.append([None, None, None])
    book.active.append(["y", "no", None])
    file = io.BytesIO()
    book.save(file)
    job = await imported(service.client, pipeline, file.getvalue(), "application/octet-stream")
    assert (job["created"], job["refused"]) == (1, 1)
    assert (await listed(service.client, pipeline))[-1] == {"name": "x", "score": 3, "since": "2024-01-02"}


WORKBOOK = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
NO_TABLES: dict[str, tuple[str, bytes, str]] = {
    "no workbook": (WORKBOOK, b"PKnot", "An XLSX workbook was expected"),
    "text called a workbook": (WORKBOOK, b"name\na\n", "An XLSX workbook was expected"),
    "a picture": ("text/csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\n\0\n", "CSV was expected"),
    "an old workbook": (
        "application/vnd.ms-excel",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500),
        "CSV was expected",
    ),
    "a document": ("text/csv", b"%PDF-1.7\n1 0 obj\n", "CSV was expected"),
    "packed": ("text/csv", gzip.compress(b"name\na\n", mtime=0), "CSV was expected"),
    "one word": ("text/csv", b"PKnot", "A table was expected"),
}


async def test_what_is_no_table_fails_and_says_what_was_expected(service: Service) -> None:
    """Bytes that are not what they are called, or no text, make no record and no empty success; lines are refused."""
    pipeline = service.pipeline(*FIELDS)
    for called, (media, content, expected) in NO_TABLES.items():
        job = await imported(service.client, pipeline, content, media)
        assert (job["state"], job["error"]["code"], job["progress"]["done"]) == ("failed", "unreadable-file", 0), called
        assert job["error"]["detail"].startswith(expected), called
    named = await service.client.post(f"/pipelines/{pipeline}/imports", files={"file": ("People.XLSX", b"name\na\n")})
    assert (await ended(service.client, named))["state"] == "failed"
    job = await imported(service.client, pipeline, b"\0\n\x89PNG\n\xff", "application/x-ndjson")
    assert (job["state"], job["created"], job["refused"]) == ("done", 0, 3)
    job = await imported(service.client, pipeline, b"name\n\0\n\xff\xfe,\0\n")
    assert (job["state"], job["created"], job["refused"]) == ("done", 0, 2)
    job = await imported(service.client, pipeline, b"name,else\n")
    assert (job["state"], job["progress"]["done"]) == ("done", 0)
    failed = "/jobs?kind=import&state=failed"
    all_failed = len((await service.client.get(f"{failed}&limit=200")).json()["items"])
    assert (await service.client.get(f"{failed}&limit=1&count=exact")).json()["count"] == all_failed
    assert await listed(service.client, pipeline) == []


async def test_related_records_go_by_name(service: Service) -> None:
    """A relation's cell may be the name of a record that the caller sees; one that is not just one's is refused."""
    firms = service.pipeline({"name": "name", "type": "text"})
    firm = await service.client.create(firms, {"name": "Acme"})
    for _ in range(2):
        await service.client.create(firms, {"name": "Twin"})
    relation = {"name": "firm", "type": "relation", "target_pipeline": str(firms), "display_field": "name"}
    people = service.pipeline({"name": "name", "type": "text"}, relation)
    body = f"name,firm\nAda,Acme\nBob,{firm['id']}\nCid,Nobody\nDan,Twin\n"
    job = await imported(service.client, people, body.encode())
    assert (job["created"], job["refused"]) == (2, 2)
    assert [row["firm"] for row in await listed(service.client, people)] == [firm["id"]] * 2


async def test_a_dry_run_tells_and_writes_nothing(service: Service) -> None:
    """A dry run counts as the run would and leaves no record."""
    pipeline = service.pipeline(*FIELDS)
    job = await imported(service.client, pipeline, b"name,score\na,1\n,2\n", dry_run="true")
    assert (job["created"], job["refused"], job["result"]["dry_run"]) == (1, 1, True)
    assert await listed(service.client, pipeline) == []


async def test_what_cannot_be_imported_is_refused_at_once(service: Service) -> None:
    """No rights, no pipeline, a mapping to nothing, an upsert by what is not unique, and no file are told at once."""
    pipeline = service.pipeline(*FIELDS)
    reader = service.principal(Grant("records", ("read",)))
    path = f"/pipelines/{pipeline}/imports"
    assert (await reader.call("POST", path, content=b"name\na\n")).status_code == 403
    assert (await service.client.call("POST", f"/pipelines/{firm_id()}/imports", content=b"a")).status_code == 404
    for params in ({"mapping": '{"a":"nothing"}'}, {"mapping": "[]"}, {"upsert_by": "score"}):
        assert (await service.client.call("POST", path, content=b"a\n1\n", params=params)).status_code == 422
    assert (await service.client.call("POST", path, content=b"")).status_code == 422
    broken = {"content-type": "multipart/form-data; boundary=x"}
    assert (await service.client.call("POST", path, content=b"--x\r\nnothing", headers=broken)).status_code == 400
    other = service.principal(Grant("records", ("create", "read")))
    job = await imported(service.client, pipeline, b"name\n,\n")
    assert (await other.get(f"/imports/{job['id']}")).status_code == 404


async def test_a_preview_suggests_fields(service: Service) -> None:
    """A preview shows columns, samples, what their names suggest, and which required fields are not given."""
    pipeline = service.pipeline(*FIELDS)
    body = "E-Mail address\tscore\nä@example.com\t1\n".encode("latin-1")
    response = await service.client.call("POST", f"/pipelines/{pipeline}/imports/preview", content=body)
    shown = response.json()
    assert response.status_code == 200
    assert (shown["format"], shown["delimiter"], shown["missing"]) == ("csv", "\t", ["name"])
    assert [(c["name"], c["field"]) for c in shown["columns"]] == [("E-Mail address", "email"), ("score", "score")]


def firm_id() -> UUID:
    """An id that nothing has."""
    return UUID("01890000-0000-7000-8000-000000000000")


async def test_a_job_does_what_its_maker_may_by_now(service: Service) -> None:
    """Not what their token said when they asked: with fewer roles rows are refused, and who was let go does nothing."""
    pipeline = service.pipeline({"name": "name", "type": "text"})
    reader = service.issuer.role(service.tenant_id, [Grant("records", ("read",))])
    for standing, code in (((reader,), "forbidden"), (None, "requester-gone")):
        client = service.principal(Grant("records", ("*",)))
        claims = jwt.decode(client.headers["Authorization"].split()[1], options={"verify_signature": False})
        service.issuer.standing[UUID(claims["sub"])] = standing
        job = await imported(client, pipeline, b"name\nAda\n")
        assert (job["state"], job["error"]["code"]) == ("failed", code)
    assert await listed(service.client, pipeline) == []


async def test_a_dry_run_finds_what_is_twice_in_the_whole_file(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows far apart that bring the same unique value are counted as the run would count them, by upsert or without."""
    monkeypatch.setattr(imports, "REHEARSED", 1000)
    pipeline = service.pipeline(*FIELDS)
    await service.client.create(pipeline, {"name": "There", "email": "7@x.example"})
    rows = [f"n,{number % 600}@X.example" for number in range(1300)]
    body = "\n".join(["name,email", *rows]).encode()
    for params, counts in (({}, (599, 0, 701)), ({"upsert_by": "email"}, (599, 701, 0))):
        job = await imported(service.client, pipeline, body, dry_run="true", **params)
        assert (job["created"], job["updated"], job["refused"]) == counts
    connection = await asyncpg.connect(service.database.admin_dsn)

    async def gone() -> bool:
        return bool(await connection.fetchval("select count(*) = 0 from records.import_claims"))

    try:
        await eventually(gone)
    finally:
        await connection.close()
    assert len(await listed(service.client, pipeline)) == 1


async def test_imports_of_the_same_values_wait_for_no_circle(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that write to the same records, one from the file's other end, take turns: neither is broken off."""
    monkeypatch.setattr(imports, "CHUNK", 500)
    pipeline = service.pipeline(*FIELDS)
    rows = [f"n{number},{number}@x.example" for number in range(1000)]
    bodies = ["\n".join(["name,email", *them]).encode() for them in (rows, rows[::-1])]
    jobs = await asyncio.gather(*(imported(service.client, pipeline, body, upsert_by="email") for body in bodies))
    assert [(job["state"], job["refused"], job["progress"]["done"]) for job in jobs] == [("done", 0, 1000)] * 2
    assert sum(job["created"] for job in jobs) == 1000
    connection = await asyncpg.connect(service.database.admin_dsn)
    try:
        found = "select deadlocks from pg_stat_database where datname = current_database()"
        assert await connection.fetchval(found) == 0
    finally:
        await connection.close()


async def test_a_report_keeps_so_much_and_tells_of_the_rest(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of rows that are refused the first are kept, up to a bound; the report says how many are not."""
    monkeypatch.setattr(importing, "MAX_REFUSED_BYTES", 2000)
    pipeline = service.pipeline(*FIELDS)
    body = "\n".join(["name,score", *("," + "9" * 40 for _ in range(700))]).encode()
    job = await imported(service.client, pipeline, body)
    assert job["refused"] == 700
    lines = await refusals(service.client, job)
    assert 0 < len(lines) < 50
    assert [line["row"] for line in lines[:2]] == ["1", "2"]
    assert lines[-1]["reasons"] == f"{700 - len(lines) + 1} more rows were refused and are not kept"


async def test_an_import_without_a_place_is_refused_before_its_file_is_taken(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond so many open imports, and beyond what the plan has room for, nothing comes into the store."""
    pipeline = service.pipeline(*FIELDS)
    path = f"/pipelines/{pipeline}/imports"
    with monkeypatch.context() as patch:
        patch.setattr(arriving, "MAX_OPEN", 0)
        refused = await service.client.call("POST", path, content=b"name\na\n", headers={"content-type": "text/csv"})
        assert (refused.status_code, refused.json()["type"]) == (429, "/problems/too-many-imports")
        assert "retry-after" in refused.headers
    assert stored(service) == []
    told = Planned(service.tenant_id, Limits(storage_bytes=40))
    await service.definitions.announce(service.tenant_id, "auth.tenant.updated", service.tenant_id, told)

    async def limited() -> bool:
        body = b"name\n" + b"a" * 50
        answer = await service.client.call("POST", path, content=body, headers={"content-type": "text/csv"})
        return (answer.status_code, answer.json().get("type")) == (403, "/problems/plan-limit-reached")

    await eventually(limited)
