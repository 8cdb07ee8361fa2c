"""Records that are deleted for good leave nothing behind, and the trash is emptied in time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from libs.common import clock
from libs.common.ids import new_id
from libs.common.purge import tables
from services.records.domain.forgetting import without_ids
from services.records.usecases.tenants import Tenant
from tests.records.support import Service
from tests.support.waiting import eventually

TEXT: dict[str, Any] = {"name": "name", "type": "text", "searchable": True}


@asynccontextmanager
async def looking(service: Service) -> AsyncIterator[Any]:
    """A connection that row level security does not bind."""
    connection: Any = await asyncpg.connect(service.database.admin_dsn)
    try:
        await connection.execute("set search_path to records, extensions")
        yield connection
    finally:
        await connection.close()


async def mentions(service: Service, record_id: str) -> dict[str, list[str]]:
    """The rows of all tables of the tenant that have the id in them."""
    found: dict[str, list[str]] = {}
    async with looking(service) as connection:
        for table in [*await tables(connection), "outbox"]:
            rows = await connection.fetch(
                f"select to_jsonb(t)::text from {table} t where to_jsonb(t)::text like $1",  # noqa: S608 - of the catalogue
                f"%{record_id}%",
            )
            if rows:
                found[table] = [row[0] for row in rows]
    return found


async def known(service: Service, pipeline: UUID) -> bool:
    """Whether the service's own table has a definition."""
    async with looking(service) as connection:
        return bool(await connection.fetchval("select count(*) from pipelines where id = $1", pipeline))


async def test_what_is_deleted_for_good_is_mentioned_nowhere(service: Service) -> None:
    """No row of any table has the record's id: not history of those who held it, nor merges or kept answers."""
    client = service.client
    firms = service.pipeline(TEXT, {"name": "mail", "type": "email", "unique": True})
    relation = {"name": "firm", "type": "relation", "target_pipeline": str(firms), "cardinality": "many_to_many"}
    people = service.pipeline(TEXT, relation)
    definition = service.definitions.pipelines[service.tenant_id, people]
    await service.definitions.announce(service.tenant_id, "pipelines.pipeline.created", people, definition)
    firm, twin, other = [await client.create(firms, {"name": n, "mail": f"{n}@x.example"}) for n in ("a", "b", "c")]
    once = await client.create(people, {"name": "Once", "firm": [firm["id"], other["id"]]})
    await client.patch(f"/pipelines/{people}/records/{once['id']}", json={"data": {"firm": [other["id"]]}})
    await client.create(people, {"name": "Still", "firm": [firm["id"], other["id"]]})
    trashed = await client.create(people, {"name": "Trashed", "firm": [firm["id"]]})
    await client.delete(f"/pipelines/{people}/records/{trashed['id']}")
    merge = await client.post("/records/merge", {"target": firm["id"], "sources": [twin["id"]]})
    assert merge.status_code == 200, merge.text
    path = f"/pipelines/{firms}/records/{firm['id']}"
    key = {"idempotency-key": "once"}
    await client.patch(path, json={"data": {"name": "aa"}}, headers=key)
    await eventually(lambda: known(service, people))
    assert set(await mentions(service, firm["id"])) >= {"history", "records", "merges", "edges", "unique_values"}
    assert (await client.delete(path, params={"permanent": "true"})).status_code == 204
    assert (await client.get(path)).status_code == 404

    async def gone() -> bool:
        return not await mentions(service, firm["id"])

    await eventually(gone)
    lines = (await client.get(f"/pipelines/{people}/records/{once['id']}/history")).json()["items"]
    assert lines[-1]["changes"]["firm"] == {"old": None, "new": [other["id"]]}


async def test_trash_is_kept_for_as_long_as_the_tenant_says(service: Service) -> None:
    """What was in the trash for longer than the tenant keeps it goes for good; with no bound nothing does."""
    pipeline = service.pipeline(TEXT)
    old, young, live = [await service.client.create(pipeline, {"name": name}) for name in ("old", "young", "live")]
    for record in (old, young):
        await service.client.delete(f"/pipelines/{pipeline}/records/{record['id']}")
    async with looking(service) as connection:
        past = clock.now() - timedelta(days=8)
        await connection.execute("update records set deleted_at = $1 where id = $2", past, UUID(old["id"]))
    await keep(service, 0)
    await keep(service, 7)

    async def emptied() -> bool:
        trash = (await service.client.get(f"/pipelines/{pipeline}/records/trash")).json()["items"]
        return [item["id"] for item in trash] == [young["id"]]

    await eventually(emptied)
    assert (await service.client.get(f"/pipelines/{pipeline}/records/{live['id']}")).status_code == 200


async def keep(service: Service, days: int) -> None:
    """The tenant says for how many days it keeps its trash."""
    tenant = msgspec.structs.replace(Tenant(service.tenant_id), trash_days=days)
    await service.definitions.announce(service.tenant_id, "auth.tenant.updated", service.tenant_id, tenant)


def test_ids_are_taken_out_of_values() -> None:
    """An id goes out of a list, and leaves null where it stood alone; what only contains it as text stays."""
    gone = str(new_id())
    value = {"old": [gone, "x"], "new": gone, "note": f"see {gone}", "deep": [{"a": gone}]}
    assert without_ids(value, {gone}) == {"old": ["x"], "new": None, "note": f"see {gone}", "deep": [{"a": None}]}
