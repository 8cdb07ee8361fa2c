"""Records taken away as files."""

import asyncio
import csv
import io
import json
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import openpyxl
import pytest

from libs.common.permissions import Grant
from libs.common.plans import Limits
from tests.records.routes.test_imports import Planned, imported
from tests.records.support import Client, Service
from tests.support.waiting import eventually

FIELDS: list[dict[str, Any]] = [
    {"name": "name", "type": "text"},
    {"name": "score", "type": "number"},
    {"name": "tags", "type": "tags"},
    {"name": "price", "type": "currency", "currency": "EUR"},
    {"name": "secret", "type": "text"},
]
ROWS = [
    {"name": "=1+1", "score": 1, "tags": ["a", "b,c"], "price": {"amount": 1.5, "currency": "EUR"}, "secret": "x"},
    {"name": 'quo"te', "score": 2, "secret": "y"},
    {"name": "-5", "score": 3},
]


async def filled(service: Service) -> UUID:
    """A pipeline with three records."""
    pipeline = service.pipeline(*FIELDS)
    await service.client.batch(pipeline, [{"op": "create", "data": row} for row in ROWS])
    return pipeline


async def exported(client: Client, pipeline: UUID, query: str = "") -> bytes:
    """The file of an export that is given."""
    response = await client.get(f"/pipelines/{pipeline}/exports?{query}")
    assert response.status_code == 200, response.text
    return response.content


def rows(file: bytes) -> list[dict[str, str]]:
    """The rows of CSV."""
    return list(csv.DictReader(io.StringIO(file.decode("utf-8-sig"))))


async def test_lists_come_as_csv(service: Service) -> None:
    """CSV has a column for each field, follows filters and order, and gives no spreadsheet a formula."""
    pipeline = await filled(service)
    found = rows(await exported(service.client, pipeline, "sort=-score"))
    assert [row["name"] for row in found] == ["-5", 'quo"te', "'=1+1"]
    assert (found[2]["tags"], found[2]["price"]) == ("a;b,c", "1.5 EUR")
    bare = rows(await exported(service.client, pipeline, "filter[score]=1&guard=false"))
    assert [row["name"] for row in bare] == ["=1+1"]
    assert (await exported(service.client, pipeline, "bom=true")).startswith(b"\xef\xbb\xbf")
    header = rows(await exported(service.client, pipeline, "fields=score&sort=score"))[0].keys()
    assert list(header) == ["id", "score", "created_at", "updated_at"]


async def test_lists_come_as_lines_and_as_workbooks(service: Service) -> None:
    """NDJSON is the records themselves, and a workbook opens with its numbers as numbers; both read back."""
    pipeline = await filled(service)
    lines = (await exported(service.client, pipeline, "format=ndjson&sort=score")).splitlines()
    assert [json.loads(line)["data"] for line in lines] == ROWS
    book = openpyxl.load_workbook(io.BytesIO(await exported(service.client, pipeline, "format=xlsx&sort=score")))
    cells = [[cell.value for cell in row] for row in book.worksheets[0].iter_rows()]
    assert cells[0][1:6] == ["name", "score", "tags", "price", "secret"]
    assert cells[1][1:6] == ["=1+1", 1, "a;b,c", "1.5 EUR", "x"]


@pytest.mark.parametrize("form", ["csv", "xlsx"])
async def test_what_was_exported_comes_back(service: Service, form: str) -> None:
    """An export imported into a pipeline of the same fields makes the same data."""
    pipeline = await filled(service)
    file = await exported(service.client, pipeline, f"format={form}&guard=false")
    again = service.pipeline(*FIELDS)
    job = await imported(service.client, again, file, "application/octet-stream")
    assert (job["created"], job["refused"]) == (3, 0)
    page = (await service.client.get(f"/pipelines/{again}/records?sort=score")).json()
    assert [item["data"] for item in page["items"]] == ROWS


async def test_an_export_is_a_right_of_its_own(service: Service) -> None:
    """Reading is not enough, and what either grant hides is in no file."""
    pipeline = await filled(service)
    path = f"/pipelines/{pipeline}/exports"
    assert (await service.principal(Grant("records", ("read",))).get(path)).status_code == 403
    some = service.principal(
        Grant("records", ("read",), readable_fields=frozenset(("name", "score"))),
        Grant("records", ("export",), row_rule={"field": "score", "op": "lte", "value": 2}),
    )
    found = rows(await exported(some, pipeline, "sort=score"))
    assert [list(row) for row in found] == [["id", "name", "score", "created_at", "updated_at"]] * 2
    assert (await some.get(f"{path}?fields=secret")).status_code == 422
    assert (await some.get(f"{path}?filter[secret]=x")).status_code == 422
    lines = await exported(some, pipeline, "format=ndjson")
    assert b"secret" not in lines


async def test_a_job_makes_a_file_for_who_asked(service: Service) -> None:
    """A job's file is the export, and nobody else's to fetch."""
    pipeline = await filled(service)
    response = await service.client.post(f"/pipelines/{pipeline}/exports?format=csv&sort=score")
    job = await _done(service.client, response)
    path = job["report_url"].removeprefix("/api/v1")
    fetched = await service.client.get(path)
    assert rows(fetched.content) == rows(await exported(service.client, pipeline, "sort=score"))
    assert job["progress"]["done"] == 3
    other = service.principal(Grant("*", ("*",)))
    assert (await other.get(path)).status_code == 404
    await _kept_files_count(service, f"/pipelines/{pipeline}/exports?format=csv&sort=score", len(fetched.content))


async def _kept_files_count(service: Service, path: str, size: int) -> None:
    """What is kept of exports is storage of the plan: another is not begun without room, and fails that needs more; of
    two that are made at once and would fit alone, one does.
    """

    async def plan(limit: int) -> None:
        told = Planned(service.tenant_id, Limits(storage_bytes=limit))
        await service.definitions.announce(service.tenant_id, "auth.tenant.updated", service.tenant_id, told)

    async def begun(status: int) -> bool:
        answers.append(await service.client.post(path))
        if answers[-1].status_code == 202:
            await _ended(service.client, answers[-1])
        return answers[-1].status_code == status

    answers: list[httpx.Response] = []
    await plan(0)
    await eventually(lambda: begun(403))
    refused = answers[-1].json()
    assert (refused["type"], refused["limit_name"]) == ("/problems/plan-limit-reached", "storage_bytes")
    assert (refused["current"] >= size, refused["current"] % size) == (True, 0)
    await plan(refused["current"] + 10)
    await eventually(lambda: begun(202))
    job = await _ended(service.client, answers[-1])
    assert (job["state"], job["error"]["code"]) == ("failed", "plan-limit-reached")
    await plan(refused["current"] + size + 10)

    async def made() -> bool:
        waiting = "select count(1) from pg_locks where locktype = 'advisory' and not granted and database = ($1)"
        own = await admin.fetchval("select oid from pg_database where datname = current_database()")
        return int(await admin.fetchval(waiting, own)) >= 2

    async def two() -> bool:
        await admin.execute("select pg_advisory_lock(hashtextextended($1::uuid::text, 12))", service.tenant_id)
        answers.extend(await asyncio.gather(*(service.client.post(path) for _ in range(2))))
        await eventually(made)
        await admin.execute("select pg_advisory_unlock_all()")
        jobs = [await _ended(service.client, answer) for answer in answers[-2:]]
        return sorted(job["state"] for job in jobs) == ["done", "failed"]

    admin = await asyncpg.connect(service.database.admin_dsn)
    try:
        await eventually(two)
    finally:
        await admin.close()
    assert (await service.client.get("/jobs?kind=export&state=done")).json()["items"][0]["result"]["size"] == size


async def _done(client: Client, response: Any) -> dict[str, Any]:
    found = await _ended(client, response)
    assert found["state"] == "done", found
    return found


async def _ended(client: Client, response: Any) -> dict[str, Any]:
    assert response.status_code == 202, response.text
    found: dict[str, Any] = response.json()

    async def over() -> bool:
        found.update((await client.get(f"/exports/{found['id']}")).json())
        return found["state"] not in ("queued", "running")

    await eventually(over)
    return found
