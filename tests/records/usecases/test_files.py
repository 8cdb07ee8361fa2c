"""Objects of jobs in the store: noted before they are there, and gone when no job needs them."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg

from libs.common.ids import new_id
from libs.common.postgres import Database
from services.records.storage.objects import open_store
from services.records.usecases.files import Pruner
from tests.records.routes.test_exports import filled
from tests.records.support import Service
from tests.support.waiting import eventually

NOTED = "select object from records.file_ends where tenant_id = $1 and object is not null order by file_id"
DIED = "insert into records.file_ends (tenant_id, file_id, object, due) values ($1, $2, $3, now() + interval '1 day')"


async def age(admin: "asyncpg.Connection[asyncpg.Record]") -> None:
    """A day goes by for what waits to be pruned."""
    await admin.execute("update records.file_ends set due = $1", datetime(2020, 1, 1, tzinfo=UTC))


async def done(service: Service, job: str) -> bool:
    """Whether a job is done."""
    return bool((await service.client.get(f"/jobs/{job}")).json()["state"] == "done")


async def test_objects_of_jobs_are_noted_first_and_go_with_their_jobs(service: Service) -> None:
    """A file is noted before it is taken, so what a process left that died goes in a day: also after its job's end, and
    of an export when it is kept no longer, but not before.
    """
    pipeline = await filled(service)
    admin = await asyncpg.connect(service.database.admin_dsn)
    store, root = open_store(service.files_url), Path(urlsplit(service.files_url).path)
    seen: list[str] = []

    async def noted() -> list[str]:
        return [row[0] for row in await admin.fetch(NOTED, service.tenant_id)]

    async def table() -> AsyncIterator[bytes]:
        yield b"name\n"
        seen.extend(await noted())
        yield b"Ada\n"

    def objects() -> set[str]:
        return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}

    async def text() -> AsyncIterator[bytes]:
        yield b"x"

    async def begin(path: str, **given: Any) -> str:
        begun = await service.client.call("POST", f"/pipelines/{pipeline}/{path}", **given)
        assert begun.status_code == 202, begun.text
        job: str = begun.json()["id"]
        await eventually(lambda: done(service, job))
        return job

    async def left(*expected: str) -> bool:
        await pruner.round()
        return objects() == set(expected) and await noted() == list(expected)

    job = await begin("imports", content=table(), headers={"content-type": "text/csv"})
    brought = f"{service.tenant_id}/imports/{job}"
    assert seen == [brought]
    kept = f"{service.tenant_id}/exports/{await begin('exports', json={'format': 'csv'})}"
    database = Database(service.database.dsn("records"), pool_size=2)
    await database.start()
    pruner = Pruner(database, store)
    await eventually(lambda: left(kept))
    # Two processes died: one had taken a file in and made no job yet, one had ended an import and not forgotten it.
    for key in (brought, f"{service.tenant_id}/imports/{new_id()}"):
        await store.put(key, text())
        await admin.execute(DIED, service.tenant_id, UUID(key.rpartition("/")[2]), key)
    assert not await left(kept)
    await age(admin)
    await eventually(lambda: left(kept))
    await admin.execute("update records.jobs set result = result - 'report_url' where kind = 'export'")
    await age(admin)
    await eventually(left)
    await database.stop()
    await admin.close()
