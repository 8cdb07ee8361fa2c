"""What a tenant that is gone leaves outside of tables."""

from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from libs.common.purge import Tenant
from services.records.usecases import imports
from tests.records.routes.test_exports import filled
from tests.records.support import Service
from tests.support.waiting import eventually

WRITTEN = ("records", "history", "unique_values", "search_documents", "match_keys", "jobs", "job_queue", "refused_rows")
"""Tables that an import writes to."""


def objects(service: Service) -> list[Path]:
    """What lies in the store of the tenant."""
    store = Path(urlsplit(service.files_url).path)
    return [path for path in store.rglob("*") if path.is_file() and str(service.tenant_id) in str(path)]


async def test_the_objects_of_a_tenant_go_with_it(service: Service) -> None:
    """The result of an export lies in the store until the tenant ends."""
    made = await service.client.post(f"/pipelines/{await filled(service)}/exports", {"format": "csv"})
    assert made.status_code == 202, made.text

    async def kept() -> bool:
        return bool(objects(service))

    async def gone() -> bool:
        return not objects(service)

    await eventually(kept)
    await service.definitions.announce(
        service.tenant_id, "auth.tenant.deleted", service.tenant_id, Tenant(service.tenant_id)
    )
    await eventually(gone)


async def test_a_tenant_that_ends_amid_an_import_leaves_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No step of a job that is gone stays: of the rows before and after it, and of the file, nothing is left."""
    monkeypatch.setattr(imports, "CHUNK", 50)
    pipeline = service.pipeline({"name": "name", "type": "text"}, {"name": "mail", "type": "email", "unique": True})
    body = "\n".join(["name,mail", *(f"n,{number}@x.example" for number in range(5000))]).encode()
    path = f"/pipelines/{pipeline}/imports"
    made = await service.client.call("POST", path, content=body, headers={"content-type": "text/csv"})
    assert made.status_code == 202, made.text

    async def amid() -> bool:
        return bool((await service.client.get(f"/jobs/{made.json()['id']}")).json()["created"])

    async def gone() -> bool:
        done = await admin.fetchval("select done from records.purges where id = $1", service.tenant_id)
        return bool(done) and await left() == {}

    async def left() -> dict[str, int]:
        count = "select count(1) from records.{} where tenant_id = $1"
        counts = {it: await admin.fetchval(count.format(it), service.tenant_id) for it in WRITTEN}
        return {name: count for name, count in counts.items() if count}

    await eventually(amid)
    admin = await asyncpg.connect(service.database.admin_dsn)
    try:
        ended = Tenant(service.tenant_id)
        await service.definitions.announce(service.tenant_id, "auth.tenant.deleted", service.tenant_id, ended)
        await eventually(gone)
    finally:
        await admin.close()
    assert objects(service) == []
