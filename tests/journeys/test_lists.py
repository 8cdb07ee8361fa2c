"""Lists answer alike, whichever service they are of."""

import httpx
import pytest

from tests.journeys.crm import Json, make_pipeline, make_record, text, told
from tests.journeys.openapi import Operation, operations
from tests.support.platform import Platform, Tenant

pytestmark = pytest.mark.journey

UNKNOWN = {"limit": ("0", "201", "-1", "1.5", "many", ""), "count": ("some", ""), "sort": ("-nothing",)}
REQUIRED: dict[str, Json] = {"/changes": {"since": "0"}}
WITHOUT_COUNT = {"/changes", "/pipelines/{pipeline_id}/duplicates"}


async def test_unknown_values_of_what_lists_take_are_refused(stack: Platform, tenant: Tenant) -> None:
    """On every list there is a `limit`, `count` or `sort` of no meaning is 422 and named, and all are counted."""
    api = tenant.client
    pipeline = await make_pipeline(api, "Listed", text("name"))
    record = await make_record(api, pipeline, {"name": "Ada"})
    hook = {"url": "https://hook.invalid/", "events": ["*"]}
    webhook = told(await api.post("/webhooks", json=hook), 201)
    ids = {"pipeline_id": pipeline["id"], "record_id": record["id"], "webhook_id": webhook["id"]}
    lists = {_path(it): it for it in await operations(stack.url) if _is_list(it) and ids.keys() >= {*it.parameters}}
    assert len(lists) >= 30
    wrong: list[tuple[str, Json, int]] = []
    for path, operation in lists.items():
        known = {name: UNKNOWN[name] for name in UNKNOWN if name in operation.taken}
        assert "count" in known or path in WITHOUT_COUNT, path
        query = {**operation.query, **REQUIRED.get(path, {})}
        for name, values in known.items():
            for value in values:
                answer = await api.get(path.format(**ids), params={**query, name: value})
                if not _refused(answer, name):
                    wrong.append((path, {name: value}, answer.status_code))
    assert wrong == []


def _path(operation: Operation) -> str:
    return operation.path.removeprefix("/api/v1")


def _is_list(operation: Operation) -> bool:
    return operation.method == "get" and operation.taken >= {"limit", "cursor"}


def _refused(answer: httpx.Response, name: str) -> bool:
    return answer.status_code == 422 and [it["pointer"] for it in answer.json()["errors"]] == [f"/{name}"]
