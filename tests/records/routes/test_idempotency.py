"""Requests with an `Idempotency-Key`, and what they leave behind."""

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from libs.common import events
from tests.records.support import Service
from tests.support.waiting import eventually

FIELDS: list[dict[str, Any]] = [
    {"name": "name", "type": "text", "required": True},
    {"name": "score", "type": "number"},
]
KEY = {"Idempotency-Key": "the key"}


async def total(service: Service, pipeline: UUID) -> int:
    """How many records there are."""
    page = (await service.client.get(f"/pipelines/{pipeline}/records?count=exact&limit=1")).json()
    return int(page["count"])


def replays(answers: list[httpx.Response]) -> list[bool]:
    """Which answers were given before."""
    return ["idempotency-replayed" in answer.headers for answer in answers]


async def told(service: Service) -> list[str]:
    """The types of what stands in the stream, when the outbox is empty."""
    admin = await asyncpg.connect(service.database.admin_dsn)

    async def empty() -> bool:
        return not await admin.fetchval("select exists (select from records.outbox)")

    await eventually(empty)
    await admin.close()
    js = service.bus.jetstream
    last = (await js.stream_info(events.STREAM)).state.last_seq
    return [str((await js.get_msg(events.STREAM, seq)).subject).split(".", 2)[2] for seq in range(1, last + 1)]


async def test_of_twenty_parallel_requests_one_makes_a_record(service: Service) -> None:
    """All have the same answer, one record is made, and one event is told."""
    pipeline = service.pipeline(*FIELDS)
    where, body = f"/pipelines/{pipeline}/records", {"data": {"name": "Ada"}}
    answers = await asyncio.gather(*(service.client.post(where, body, headers=KEY) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({(answer.text, answer.headers["etag"], answer.headers["location"]) for answer in answers}) == 1
    assert sum(replays(answers)) == 19
    assert await total(service, pipeline) == 1
    assert await told(service) == ["records.record.created"]


async def test_increments_and_patches_count_once(service: Service) -> None:
    """A repeated increment adds once, a repeated patch makes one version; later changes do not alter the answer."""
    pipeline = service.pipeline(*FIELDS)
    record = await service.client.create(pipeline, {"name": "Ada", "score": 1})
    where = f"/pipelines/{pipeline}/records/{record['id']}"
    adding = [
        await service.client.post(f"{where}/increment", {"field": "score", "by": 5}, headers=KEY) for _ in range(2)
    ]
    patching = [await service.client.patch(where, {"data": {"name": "B"}}, headers=KEY) for _ in range(2)]
    await service.client.patch(where, {"data": {"name": "C"}})
    patching.append(await service.client.patch(where, {"data": {"name": "B"}}, headers=KEY))
    assert [answer.json()["data"]["score"] for answer in adding] == [6, 6]
    assert [(answer.json()["data"]["name"], answer.json()["version"]) for answer in patching] == [("B", 3)] * 3
    assert replays(patching) == [False, True, True]
    assert (await service.client.get(where)).json()["data"] == {"name": "C", "score": 6}


async def test_a_batch_counts_once(service: Service) -> None:
    """A batch in which some rows fail is done once; one that is refused whole may be corrected under the same key."""
    pipeline = service.pipeline(*FIELDS)
    where = f"/pipelines/{pipeline}/records/batch"
    mixed = {"operations": [{"op": "create", "data": {"name": "a"}}, {"op": "create", "data": {"score": 1}}]}
    answers = [await service.client.post(where, mixed, headers=KEY) for _ in range(2)]
    assert [(answer.json()["created"], answer.json()["failed"]) for answer in answers] == [(1, 1)] * 2
    assert await total(service, pipeline) == 1
    atomic = {**mixed, "atomic": True}
    other = {"Idempotency-Key": "another"}
    assert (await service.client.post(where, atomic, headers=other)).status_code == 422
    corrected = {"operations": mixed["operations"][:1], "atomic": True}
    answers = [await service.client.post(where, corrected, headers=other) for _ in range(2)]
    assert (answers[0].status_code, replays(answers)) == (200, [False, True])
    assert await total(service, pipeline) == 2
    assert await told(service) == ["records.record.created"] * 2


async def test_a_relationship_is_made_once(service: Service) -> None:
    """Relating by a type that is not known here yet is one relationship, with the type learnt on the way."""
    pipeline = service.pipeline(*FIELDS)
    one, other = [await service.client.create(pipeline, {"name": name}) for name in ("a", "b")]
    where = f"/pipelines/{pipeline}/records/{one['id']}/relationships"
    body = {"target_pipeline": str(pipeline), "target_record": other["id"], "relationship_type": "knows"}
    answers = await asyncio.gather(*(service.client.post(where, body, headers=KEY) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {201}
    assert sum(replays(answers)) == 4
    assert len((await service.client.get(where)).json()["items"]) == 1


async def test_a_refusal_teaches_nothing_false(service: Service) -> None:
    """A request that is refused after it learnt of a type and a pipeline is taken back, and the next one works."""
    pipeline, target = service.pipeline(*FIELDS), service.pipeline(*FIELDS)
    there = await service.client.create(target, {"name": "there"})
    link = {"target_pipeline": str(target), "target_record": there["id"], "relationship_type": "owns"}
    where = f"/pipelines/{pipeline}/records"
    bad = {"data": {"score": "x"}, "relationships": [link]}
    assert (await service.client.post(where, bad, headers=KEY)).status_code == 422
    good = {"data": {"name": "x"}, "relationships": [link]}
    answers = [await service.client.post(where, good, headers=KEY) for _ in range(2)]
    assert (answers[0].status_code, replays(answers)) == (201, [False, True])
    assert len(answers[1].json()["relationships"]) == 1
    assert (await service.client.post(where, good)).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_a_bad_key_is_told(service: Service, key: str) -> None:
    """A key that is empty or too long is 400, whatever is asked for."""
    pipeline = service.pipeline(*FIELDS)
    body = {"data": {"name": "a"}}
    answer = await service.client.post(f"/pipelines/{pipeline}/records", body, headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-idempotency-key")
    assert await total(service, pipeline) == 0


async def test_the_document_tells_of_keys(service: Service) -> None:
    """The header is a parameter of each POST and PATCH."""
    paths = (await service.http.get("/openapi.json")).json()["paths"]
    takes = {
        method
        for item in paths.values()
        for method, operation in item.items()
        for parameter in operation.get("parameters", ())
        if parameter["name"] == "Idempotency-Key"
    }
    assert takes == {"post", "patch"}
