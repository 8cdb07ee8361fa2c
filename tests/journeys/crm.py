"""What journeys do again and again: pipelines, records, people."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx

from tests.support.platform import PASSWORD, Tenant, client

Json = dict[str, Any]


def text(name: str, **options: Any) -> Json:
    """A field of text."""
    return {"name": name, "type": "text", **options}


def number(name: str, **options: Any) -> Json:
    """A field of numbers."""
    return {"name": name, "type": "number", **options}


def relation(name: str, target: Json, relationship_type: str) -> Json:
    """A field that names one record of another pipeline."""
    return {
        "name": name,
        "type": "relation",
        "target_pipeline": target["id"],
        "relationship_type": relationship_type,
        "cardinality": "many_to_one",
    }


def told(response: httpx.Response, status: int = 200) -> Json:
    """The body of an answer that has the expected status."""
    assert response.status_code == status, f"{response.request.method} {response.request.url}: {response.text}"
    body: Json = response.json() if response.content else {}
    return body


async def make_pipeline(api: httpx.AsyncClient, name: str, *fields: Json) -> Json:
    """A new pipeline."""
    body = {"name": name, "schema_definition": {"fields": list(fields)}}
    return told(await api.post("/pipelines", json=body), 201)


async def make_record(api: httpx.AsyncClient, pipeline: Json, data: Json, *relationships: Json) -> Json:
    """A new record."""
    body = {"data": data, "relationships": list(relationships)}
    return told(await api.post(f"/pipelines/{pipeline['id']}/records", json=body), 201)


async def make_records(api: httpx.AsyncClient, pipeline: Json, rows: Sequence[Json]) -> list[str]:
    """New records in one batch; their ids."""
    operations = [{"op": "create", "data": row} for row in rows]
    answer = told(await api.post(f"/pipelines/{pipeline['id']}/records/batch", json={"operations": operations}))
    assert answer["created"] == len(rows), answer
    return [result["id"] for result in answer["results"]]


async def pages(api: httpx.AsyncClient, where: str, /, **params: Any) -> list[Json]:
    """Every item of a list."""
    items: list[Json] = []
    query = dict(params)
    while True:
        page = told(await api.get(where, params=query))
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        query["cursor"] = page["next_cursor"]


@asynccontextmanager
async def colleague(url: str, tenant: Tenant, role: str) -> AsyncIterator[tuple[Json, httpx.AsyncClient, str]]:
    """Another person in the tenant: who it is, a client, and an access token."""
    email = f"{role}-{uuid4().hex[:8]}@{tenant.slug}.example.com"
    person = {"email": email, "name": f"A {role}", "password": PASSWORD, "roles": [role]}
    user = told(await tenant.client.post("/users", json=person), 201)
    async with client(url, **{"X-Tenant": tenant.slug}) as anonymous:
        session = told(await anonymous.post("/auth/login", json={"email": email, "password": PASSWORD}))
    async with client(url, session["access_token"]) as api:
        yield user, api, session["access_token"]
