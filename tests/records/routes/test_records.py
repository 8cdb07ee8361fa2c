"""Records over HTTP, on a real PostgreSQL and a real NATS."""

import asyncio
from typing import Any

from tests.records.support import Service

CONTACT: list[dict[str, Any]] = [
    {"name": "name", "type": "text", "required": True},
    {"name": "email", "type": "email", "unique": True},
    {"name": "score", "type": "number", "kind": "integer", "min": 0, "max": 1000},
    {"name": "stage", "type": "stage", "stages": [{"value": "new"}, {"value": "won", "required_fields": ["score"]},
                                                  {"value": "lost"}], "transitions": {"new": ["won", "lost"]}},
    {"name": "seen", "type": "datetime"},
    {"name": "tags", "type": "tags"},
]  # fmt: skip


async def test_a_record_is_made_read_changed_and_trashed(service: Service) -> None:
    """A record lives from creation to the trash and back, and its version grows with every change."""
    pipeline = service.pipeline(*CONTACT)
    made = await service.client.create(pipeline, {"name": "Ada", "email": "Ada@EXAMPLE.com", "score": 3})
    assert made["data"] == {"name": "Ada", "email": "Ada@example.com", "score": 3}
    assert (made["version"], made["title"], made["relationships"]) == (1, "Ada", [])
    path = f"/pipelines/{pipeline}/records/{made['id']}"
    read = await service.client.get(path)
    assert read.json() == {key: value for key, value in made.items() if key != "relationships"}
    assert read.headers["etag"] == '"1"'
    assert "change-seq" in read.headers
    changed = await service.client.patch(path, {"data": {"score": 4, "name": "Ada L."}})
    assert (changed.json()["version"], changed.json()["title"]) == (2, "Ada L.")
    assert (await service.client.patch(path, {"data": {"score": 4}})).json()["version"] == 2
    assert (await service.client.delete(path)).status_code == 204
    assert (await service.client.get(path)).status_code == 404
    trash = (await service.client.get(f"/pipelines/{pipeline}/records/trash")).json()
    assert [item["id"] for item in trash["items"]] == [made["id"]]
    restored = await service.client.post(f"{path}/restore")
    assert (restored.status_code, restored.json()["version"]) == (200, 4)
    history = (await service.client.get(f"{path}/history")).json()["items"]
    assert [entry["operation"] for entry in history] == ["restored", "deleted", "updated", "created"]
    assert history[2]["changes"]["score"] == {"old": 3, "new": 4}
    assert (await service.client.delete(f"{path}?permanent=true")).status_code == 204
    assert (await service.client.get(f"{path}/history")).status_code == 404


async def test_every_fault_is_named(service: Service) -> None:
    """A body with several faults is refused with all of them, each with pointer and code."""
    pipeline = service.pipeline(*CONTACT)
    data = {"email": "nobody", "score": 1.5, "stage": "open", "seen": "yesterday", "tags": [1], "wat": 1}
    response = await service.client.post(f"/pipelines/{pipeline}/records", {"data": data})
    assert response.status_code == 422
    faults = {(fault["pointer"], fault["code"]) for fault in response.json()["errors"]}
    assert faults == {
        ("/data/name", "required"),
        ("/data/email", "invalid_email"),
        ("/data/score", "not_integer"),
        ("/data/stage", "invalid_option"),
        ("/data/seen", "invalid_datetime"),
        ("/data/tags", "wrong_type"),
        ("/data/wat", "unknown_field"),
    }


async def test_no_increment_is_lost(service: Service) -> None:
    """Five writers who add one a hundred times each add five hundred; who hears that the row is busy tries again."""
    pipeline = service.pipeline({"name": "count", "type": "number"})
    made = await service.client.create(pipeline, {})
    path = f"/pipelines/{pipeline}/records/{made['id']}"

    async def write() -> None:
        for _ in range(100):
            while (response := await service.client.post(f"{path}/increment", {"field": "count", "by": 1})).is_error:
                assert response.json()["type"] == "/problems/busy", response.text

    await asyncio.gather(*(write() for _ in range(5)))
    final = (await service.client.get(path)).json()
    assert (final["data"]["count"], final["version"]) == (500, 501)


async def test_of_many_who_take_a_unique_value_one_gets_it(service: Service) -> None:
    """Twenty creations with the same address at once make one record; the others hear that it is not unique."""
    pipeline = service.pipeline(*CONTACT)
    path = f"/pipelines/{pipeline}/records"
    bodies = [
        {"data": {"name": f"n{i}", "email": "one@example.com" if i % 2 else "ONE@example.com"}} for i in range(20)
    ]
    responses = await asyncio.gather(*(service.client.post(path, body) for body in bodies))
    assert sorted(r.status_code for r in responses) == [201] + [422] * 19
    refused = next(r for r in responses if r.status_code == 422)
    assert refused.json()["errors"] == [
        {"pointer": "/data/email", "code": "not_unique", "detail": "Another record has this 'email'"}
    ]


async def test_a_list_is_filtered_sorted_paged_and_counted(service: Service) -> None:
    """Pages by cursor are the whole filtered list in order, without a record twice."""
    pipeline = service.pipeline(*CONTACT)
    operations = [{"op": "create", "data": {"name": f"n{i:03}", "score": i % 10}} for i in range(120)]
    answer = await service.client.batch(pipeline, operations)
    assert (answer["created"], answer["failed"]) == (120, 0)
    query = "filter[score][gte]=5&sort=-score,name&limit=25&count=exact"
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = (await service.client.get(f"/pipelines/{pipeline}/records?{query}{cursor}")).json()
        assert page["count"] == 60
        found += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    expected = sorted(((i % 10, f"n{i:03}") for i in range(120) if i % 10 >= 5), key=lambda pair: (-pair[0], pair[1]))
    assert [(item["data"]["score"], item["data"]["name"]) for item in found] == expected


BAD = [
    "cursor=abc", "limit=0", "limit=201", "limit=x", "sort=wat", "filter[wat]=1", "filter={", "fields=wat",
    "expand=name", "count=some", "filter[score][gte]=1e999999",
]  # fmt: skip


async def test_a_bad_question_is_refused(service: Service) -> None:
    """What a list cannot answer is a problem document with status 422."""
    pipeline = service.pipeline(*CONTACT)
    for query in BAD:
        response = await service.client.get(f"/pipelines/{pipeline}/records?{query}")
        assert (response.status_code, response.headers["content-type"]) == (422, "application/problem+json"), query
