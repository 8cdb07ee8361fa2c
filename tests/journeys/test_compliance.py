"""A person's data out, and the person erased, over all services."""

import io
import json
import zipfile
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from tests.journeys.crm import make_pipeline, make_record, text, told
from tests.support.platform import PASSWORD, Platform, Tenant, client
from tests.support.waiting import eventually

pytestmark = pytest.mark.journey


async def done(
    api: httpx.AsyncClient, kind: str, person: dict[str, str]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A request when it is done, and what its report tells."""
    job = told(await api.post(f"/compliance/{kind}", json=person), 202)

    async def finished() -> bool:
        nonlocal job
        job = told(await api.get(f"/compliance/{kind}/{job['id']}"))
        return bool(job["state"] == "done")

    await eventually(finished)
    answer = await api.get(f"/compliance/{kind}/{job['id']}/report")
    file = zipfile.ZipFile(io.BytesIO(answer.content))
    names = [name for name in file.namelist() if not name.startswith("manifest")]
    return job, [item for name in names for item in json.loads(file.read(name))]


async def test_a_person_is_told_of_and_then_erased(stack: Platform, tenant: Tenant) -> None:
    """What they did in each service is in the export; after the erasure their name is in no table, and records stay."""
    name, email = f"Ada {uuid4().hex[:8]}", f"ada-{uuid4().hex[:8]}@example.com"
    person = {"email": email, "name": name, "password": PASSWORD, "roles": ["admin"]}
    ada = told(await tenant.client.post("/users", json=person), 201)
    async with client(stack.url, **{"X-Tenant": tenant.slug}) as anonymous:
        session = told(await anonymous.post("/auth/login", json={"email": email, "password": PASSWORD}))
    fields = (text("name"), {"name": "mail", "type": "email"})
    async with client(stack.url, session["access_token"]) as api:
        people = await make_pipeline(api, "People", *fields)
        record = await make_record(api, people, {"name": "One", "mail": email})
    subject = {"user_id": ada["id"]}
    job, items = await done(tenant.client, "exports", subject)
    assert {"auth", "pipelines", "records"} <= job["summary"].keys()
    by_kind = {item["kind"]: item for item in items}
    assert by_kind["account"]["email"] == email
    assert (by_kind["record"]["id"], by_kind["change"]["record_id"]) == (record["id"], record["id"])
    assert by_kind["record_with_address"]["data"] == {"name": "One", "mail": email}
    assert by_kind["pipeline_version"]["pipeline_id"] == people["id"]
    job, items = await done(tenant.client, "erasures", subject)
    assert job["summary"]["records"]["history"] == 1
    assert [item["id"] for item in items if item["kind"] == "record_with_address"] == [record["id"]]
    assert told(await tenant.client.get(f"/pipelines/{people['id']}/records/{record['id']}"))["data"]["mail"] == email
    history = told(await tenant.client.get(f"/pipelines/{people['id']}/records/{record['id']}/history"))["items"]
    assert name not in json.dumps(history)
    await eventually(lambda: _nowhere(stack, tenant, name))


async def _nowhere(stack: Platform, tenant: Tenant, name: str) -> bool:
    admin = await asyncpg.connect(stack.database.admin_dsn)
    try:
        tables = await admin.fetch(
            "select c.oid::regclass::text from pg_class c join pg_attribute a on a.attrelid = c.oid "
            "where c.relkind = 'r' and a.attname = 'tenant_id' and c.relnamespace::regnamespace::text = any($1)",
            ["auth", "pipelines", "records", "realtime"],
        )
        found = [
            table
            for (table,) in tables
            if await admin.fetchval(
                f"select exists (select from {table} t where tenant_id = $1 and t::text like '%' || $2 || '%')",  # noqa: S608
                tenant.id, name,
            )
        ]  # fmt: skip
        return found == []
    finally:
        await admin.close()
