"""Many operations at once."""

import asyncio
from typing import Any

import asyncpg
import pytest

from libs.common.ids import new_id
from services.records.usecases import ahead, writing
from tests.records.support import Service

FIELDS: list[dict[str, Any]] = [
    {"name": "name", "type": "text", "required": True},
    {"name": "email", "type": "email", "unique": True},
    {"name": "score", "type": "number"},
]


async def listed(service: Service, pipeline: object) -> list[dict[str, Any]]:
    """The data of all records, by name."""
    page = (await service.client.get(f"/pipelines/{pipeline}/records?sort=name&limit=200")).json()
    return [item["data"] for item in page["items"]]


async def test_each_row_has_its_own_result(service: Service) -> None:
    """Without `atomic` what can be done is done, and each failure names its faults."""
    pipeline = service.pipeline(*FIELDS)
    first = await service.client.create(pipeline, {"name": "first", "email": "first@example.com"})
    answer = await service.client.batch(
        pipeline,
        [
            {"op": "create", "data": {"name": "a", "email": "a@example.com"}},
            {"op": "create", "data": {"name": "b", "email": "first@example.com"}},
            {"op": "create", "data": {"score": "x"}},
            {"op": "update", "id": first["id"], "data": {"score": 5}},
            {"op": "upsert", "by": "email", "data": {"name": "A", "email": "a@example.com", "score": 1}},
            {"op": "upsert", "by": "email", "data": {"name": "z", "email": "z@example.com"}},
            {"op": "delete", "id": "01890000-0000-7000-8000-000000000000"},
            {"op": "create", "data": {"name": "c", "email": "a@example.com"}},
        ],
    )
    statuses = [result["status"] for result in answer["results"]]
    assert statuses == ["created", "failed", "failed", "updated", "updated", "created", "failed", "failed"]
    assert (answer["created"], answer["updated"], answer["failed"]) == (2, 2, 4)
    codes = [[fault["code"] for fault in result.get("errors", ())] for result in answer["results"]]
    assert codes[1:3] == [["not_unique"], ["wrong_type", "required"]]
    assert codes[6:] == [["not_found"], ["not_unique"]]
    assert await listed(service, pipeline) == [
        {"name": "A", "email": "a@example.com", "score": 1},
        {"name": "first", "email": "first@example.com", "score": 5},
        {"name": "z", "email": "z@example.com"},
    ]


async def test_a_relationship_that_cannot_be_fails_its_own_row(service: Service) -> None:
    """What is asked for beside a record is judged with it: the others are written, or with `atomic` nothing is."""
    pipeline, nowhere = service.pipeline(*FIELDS), str(new_id())
    link = {"relationship_type": "knows", "target_pipeline": nowhere, "target_record": nowhere}
    operations = [
        {"op": "create", "data": {"name": "a"}, "relationships": [link]},
        {"op": "create", "data": {"name": "b"}},
        {"op": "create", "data": {"name": "c"}, "relationships": [link]},
    ]
    answer = await service.client.batch(pipeline, operations)
    assert [result["status"] for result in answer["results"]] == ["failed", "created", "failed"]
    faults = [fault for result in answer["results"] for fault in result.get("errors", ())]
    assert [(it["pointer"], it["code"]) for it in faults] == [("/relationships/0/target_pipeline", "not_found")] * 2
    body = {"operations": operations, "atomic": True}
    response = await service.client.post(f"/pipelines/{pipeline}/records/batch", body)
    assert response.status_code == 422
    pointers = [fault["pointer"] for fault in response.json()["errors"]]
    assert pointers == [f"/operations/{place}/relationships/0/target_pipeline" for place in (0, 2)]
    assert await listed(service, pipeline) == [{"name": "b"}]


async def test_all_or_nothing(service: Service) -> None:
    """With `atomic` one failure is 422 with its pointer, and nothing was written."""
    pipeline = service.pipeline(*FIELDS)
    operations = [{"op": "create", "data": {"name": "a"}}, {"op": "create", "data": {"email": "x"}}]
    body = {"operations": operations, "atomic": True}
    response = await service.client.post(f"/pipelines/{pipeline}/records/batch", body)
    assert response.status_code == 422
    faults = {(fault["pointer"], fault["code"]) for fault in response.json()["errors"]}
    assert faults == {("/operations/1/data/name", "required"), ("/operations/1/data/email", "invalid_email")}
    assert await listed(service, pipeline) == []


async def test_a_dry_run_writes_nothing(service: Service) -> None:
    """A dry run answers as the run would and leaves no record."""
    pipeline = service.pipeline(*FIELDS)
    answer = await service.client.batch(pipeline, [{"op": "create", "data": {"name": "a"}}], dry_run=True)
    assert answer["created"] == 1
    assert await listed(service, pipeline) == []


async def test_one_record_may_be_touched_again_and_again(service: Service) -> None:
    """Operations on one record are done in their order."""
    pipeline = service.pipeline(*FIELDS)
    made = await service.client.create(pipeline, {"name": "a"})
    operations = [{"op": "update", "id": made["id"], "data": {"score": score}} for score in range(20)]
    answer = await service.client.batch(pipeline, [*operations, {"op": "delete", "id": made["id"]}])
    assert (answer["updated"], answer["deleted"]) == (20, 1)
    assert answer["results"][-1]["version"] == 22


async def test_bounds_and_shapes_are_told(service: Service) -> None:
    """Too many operations, a missing part and an unknown operation are 422 with pointers."""
    pipeline = service.pipeline(*FIELDS)
    path = f"/pipelines/{pipeline}/records/batch"
    many = await service.client.post(path, {"operations": [{"op": "delete"}] * 10_001})
    assert (many.status_code, many.json()["errors"][0]["code"]) == (422, "too_many")
    missing = await service.client.post(path, {"operations": [{"op": "update", "data": {}}]})
    assert missing.json()["errors"][0]["pointer"] == "/operations/0/id"
    unknown = await service.client.post(path, {"operations": [{"op": "drop"}]})
    assert unknown.json()["errors"] == [
        {
            "pointer": "/operations/0/op",
            "code": "invalid_value",
            "detail": "One of create, delete, update, upsert is expected",
        }
    ]
    strange = [{"op": "create", "data": {}, "version": 1}, {"op": "upsert", "by": "email", "data": {}, "version": 1}]
    refused = await service.client.post(path, {"operations": strange})
    assert [fault["pointer"] for fault in refused.json()["errors"]] == [
        "/operations/0/version",
        "/operations/1/version",
    ]


async def test_what_is_told_of_rows_is_bounded(service: Service) -> None:
    """Rows with faults by the thousand are told up to a hundred each, and when that is much, one each."""
    pipeline = service.pipeline(*FIELDS)
    data = {f"k{index}": 1 for index in range(200)}
    answer = await service.client.batch(pipeline, [{"op": "create", "data": data}] * 150)
    assert [len(result["errors"]) for result in answer["results"]] == [100] * 100 + [1] * 50


async def test_upsert_by_address(service: Service) -> None:
    """PUT by a unique value makes the record once and changes it afterwards."""
    pipeline = service.pipeline(*FIELDS)
    path = f"/pipelines/{pipeline}/records/by/email/u@example.com"
    made = await service.client.put(path, {"data": {"name": "U"}})
    assert (made.status_code, made.json()["data"]["email"]) == (201, "u@example.com")
    assert made.headers["location"] == f"/api/v1/pipelines/{pipeline}/records/{made.json()['id']}"
    changed = await service.client.put(path, {"data": {"score": 3}})
    assert (changed.status_code, changed.json()["id"], changed.json()["version"]) == (200, made.json()["id"], 2)
    wrong = await service.client.put(f"/pipelines/{pipeline}/records/by/name/x", {"data": {"name": "y"}})
    assert (wrong.status_code, wrong.json()["errors"][0]["code"]) == (422, "not_unique_field")


async def test_upserts_at_once_make_each_record_once(service: Service) -> None:
    """Who comes second finds what was made meanwhile and changes it, alone, in a batch and where all or nothing is."""
    pipeline = service.pipeline(*FIELDS)
    path = f"/pipelines/{pipeline}/records/by/email"
    for number in range(3):
        data = {"data": {"name": "U"}}
        answers = await asyncio.gather(*(service.client.put(f"{path}/u{number}@example.com", data) for _ in range(5)))
        assert sorted(it.status_code for it in answers) == [200] * 4 + [201]
    rows = [{"name": "B", "email": f"b{number}@example.com"} for number in range(50)]
    orders = [rows, rows[::-1], rows]
    operations = [[{"op": "upsert", "by": "email", "data": row} for row in order] for order in orders]
    both = zip(operations, (True, False, False), strict=True)
    found = await asyncio.gather(*(service.client.batch(pipeline, given, atomic=atomic) for given, atomic in both))
    assert (sum(it["created"] for it in found), sum(it["failed"] for it in found)) == (50, 0)


async def test_batches_in_opposite_orders_both_end(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of batches that want the same unique values in other orders, far more than are written at once, each ends: one of
    them has each value, and the others are told so row by row. What a refused row would have had is free again.
    """
    for module in (ahead, writing):
        monkeypatch.setattr(module, "PART", 20)
    pipeline = service.pipeline(
        {"name": "code", "type": "text", "unique": True, "case": "upper"}, {"name": "size", "type": "number"}
    )
    rows = [{"code": f"c{number:04}", "size": number} for number in range(100)]
    broken = [{**row, "size": "much"} for row in rows[10:20]]
    orders = [[*broken, *rows], [*reversed(rows)], [*rows[50:], *rows[:50]]]
    operations = [[{"op": "create", "data": row} for row in order] for order in orders]
    answers = await asyncio.gather(*(service.client.batch(pipeline, it) for it in operations))
    assert sum(it["created"] for it in answers) == 100
    assert [len(it["results"]) for it in answers] == [110, 100, 100]
    codes = [error["code"] for it in answers for row in it["results"] for error in row.get("errors", [])]
    assert (codes.count("not_unique"), len(codes)) == (200, 210)
    connection = await asyncpg.connect(service.database.admin_dsn)
    held = await connection.fetchval(
        "select count(1) from records.unique_values u join records.records r on r.id = u.record_id"
        " and u.value = r.data->>'code' where u.pipeline_id = $1",
        pipeline,
    )
    total = await connection.fetchval("select count(1) from records.unique_values where pipeline_id = $1", pipeline)
    await connection.close()
    assert (held, total) == (100, 100)
