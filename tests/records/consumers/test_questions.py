"""What other services ask, and what the service learns from them."""

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from libs.common.errors import Invalid, NotFound, StaleVersion
from libs.common.ids import new_id
from services.records.domain.definitions import By, Pending
from tests.records.support import Service
from tests.support.waiting import eventually

TEXT = {"name": "a", "type": "text", "max_length": 5}


def token(service: Service) -> str:
    """The token of the user who may do everything."""
    return service.everything["Authorization"].removeprefix("Bearer ")


async def ask(service: Service, record_id: str, value: object, operation_id: str, base: int | None = None) -> Any:
    """A field update over NATS; ten at once may take longer on a busy machine than a socket would wait."""
    question = {
        "token": token(service), "record_id": record_id, "field": "a", "value": value, "base_version": base,
        "operation_id": operation_id,
    }  # fmt: skip
    return await service.bus.request("rpc.records.field_update", question, dict[str, Any], seconds=20)


async def test_a_field_update_is_done_once_per_operation(service: Service) -> None:
    """The same operation, repeated or sent ten times at once, changes the record once and gets the same version."""
    pipeline = service.pipeline(TEXT)
    made = await service.client.create(pipeline, {"a": "0"})
    answers = await asyncio.gather(*(ask(service, made["id"], "1", "op-1", 1) for _ in range(10)))
    assert {answer["version"] for answer in answers} == {2}
    assert answers[0]["event"]["data"] == {"a": "1"}
    await ask(service, made["id"], "2", "op-2", 2)
    assert (await ask(service, made["id"], "1", "op-1", 1))["version"] == 2
    read = await service.client.get(f"/pipelines/{pipeline}/records/{made['id']}")
    assert (read.json()["version"], read.json()["data"]) == (3, {"a": "2"})


async def test_a_colliding_field_update_tells_both_sides(service: Service) -> None:
    """A value that someone else set since is `StaleVersion` with field, base, current, attempted and version."""
    pipeline = service.pipeline(TEXT)
    made = await service.client.create(pipeline, {"a": "0"})
    await ask(service, made["id"], "1", "op-1", 1)
    with pytest.raises(StaleVersion) as caught:
        await ask(service, made["id"], "2", "op-2", 1)
    conflict = {"field": "a", "base": "0", "current": "1", "attempted": "2"}
    assert caught.value.extra == {"version": 2, "conflicts": [conflict]}
    assert (await ask(service, made["id"], "2", "op-2", 2))["version"] == 3


async def test_a_field_update_is_checked(service: Service) -> None:
    """A wrong value is `Invalid` with its pointer, an unknown record `NotFound`."""
    pipeline = service.pipeline(TEXT)
    made = await service.client.create(pipeline, {})
    with pytest.raises(Invalid) as caught:
        await ask(service, made["id"], "too long", "op-1")
    assert [(fault.pointer, fault.code) for fault in caught.value.errors] == [("/data/a", "too_long")]
    with pytest.raises(NotFound):
        await ask(service, str(new_id()), "1", "op-1")


async def test_a_record_is_told_as_its_asker_may_see_it(service: Service) -> None:
    """`rpc.records.record` is what GET answers."""
    pipeline = service.pipeline(TEXT)
    made = await service.client.create(pipeline, {"a": "0"})
    question = {"token": token(service), "record_id": made["id"]}
    told = await service.bus.request("rpc.records.record", question, dict[str, Any])
    assert told == (await service.client.get(f"/pipelines/{pipeline}/records/{made['id']}")).json()


async def test_a_field_is_known_as_soon_as_it_is_added(service: Service) -> None:
    """Before a fault is answered the newest definition is asked for, so no event has to arrive first."""
    pipeline = service.pipeline({"name": "a", "type": "text"})
    await service.client.create(pipeline, {"a": "1"})
    service.pipeline({"name": "a", "type": "text"}, {"name": "b", "type": "number"}, id=pipeline)
    made = await service.client.create(pipeline, {"a": "1", "b": 2})
    service.pipeline({"name": "a", "type": "text"}, {"name": "c", "type": "number"}, id=pipeline)
    batch = await service.client.batch(pipeline, [{"op": "create", "data": {"c": 1}}])
    assert batch["created"] == 1
    service.pipeline({"name": "a", "type": "text"}, {"name": "d", "type": "number"}, id=pipeline)
    listed = await service.client.get(f"/pipelines/{pipeline}/records?filter[d]=1")
    assert listed.json()["items"] == []
    service.pipeline({"name": "e", "type": "text"}, id=pipeline)
    path = f"/pipelines/{pipeline}/records/{made['id']}"
    assert (await service.client.patch(path, {"data": {"e": "x"}})).json()["data"]["e"] == "x"


async def test_faults_do_not_multiply_questions(service: Service) -> None:
    """Fifty bad requests at once ask for the definition a few times only."""
    pipeline = service.pipeline({"name": "a", "type": "text"})
    await service.client.create(pipeline, {})
    before = service.definitions.asked
    path = f"/pipelines/{pipeline}/records"
    await asyncio.gather(*(service.client.post(path, {"data": {"x": 1}}) for _ in range(50)))
    assert service.definitions.asked - before < 25


async def test_a_field_that_becomes_unique_knows_old_values(service: Service) -> None:
    """When a field becomes unique, the values that records have already are taken."""
    pipeline = service.pipeline({"name": "a", "type": "email"}, {"name": "n", "type": "number"})
    key = service.tenant_id, pipeline
    await announce(service, pipeline)
    await service.client.create(pipeline, {"a": "One@example.com", "n": 10.5})
    fields = [{"name": name, "type": kind, "unique": True} for name, kind in (("a", "email"), ("n", "number"))]
    maker = By(new_id(), "user", "Test")
    asked = Pending(job_id=new_id(), version=2, by=maker, claims=("a", "n"))
    claims = {"a": "a@2", "n": "n@2"}
    service.pipeline(*fields, id=pipeline, claims=claims, pending=(asked,), by=maker)
    await announce(service, pipeline)
    assert service.definitions.pipelines[key].version == 2

    async def claimed() -> bool:
        return bool((await service.client.get(f"/jobs/{asked.job_id}")).json().get("state") == "done")

    await eventually(claimed)
    body = {"data": {"a": "one@EXAMPLE.com", "n": 10.5}}
    refused = await service.client.post(f"/pipelines/{pipeline}/records", body)
    assert [(fault["pointer"], fault["code"]) for fault in refused.json()["errors"]] == [
        ("/data/a", "not_unique"),
        ("/data/n", "not_unique"),
    ]


async def test_a_value_is_taken_before_it_is_claimed(service: Service) -> None:
    """While a field becomes unique, a value that a record has is refused to others although no job was there yet."""
    pipeline = service.pipeline({"name": "a", "type": "text"})
    await service.client.create(pipeline, {"a": "one"})
    asked = Pending(job_id=new_id(), version=2, by=By(new_id(), "user", "Test"), claims=("a",))
    unique = {"name": "a", "type": "text", "unique": True}
    service.pipeline(unique, {"name": "b", "type": "text"}, id=pipeline, claims={"a": "a@2"}, pending=(asked,))
    await service.client.create(pipeline, {"a": "two", "b": "makes the service ask"})
    for value in ("one", "two"):
        refused = await service.client.post(f"/pipelines/{pipeline}/records", {"data": {"a": value}})
        assert refused.json()["errors"][0]["code"] == "not_unique"
    await service.client.create(pipeline, {"a": "three"})


async def announce(service: Service, pipeline: UUID) -> None:
    """The definition as it is, announced."""
    definition = service.definitions.pipelines[service.tenant_id, pipeline]
    await service.definitions.announce(service.tenant_id, "pipelines.pipeline.updated", pipeline, definition)


async def test_every_write_is_announced_with_record_and_difference(service: Service) -> None:
    """A change's event carries the record after it, the changed fields, their old values, and the actor."""
    pipeline = service.pipeline({"name": "a", "type": "text"}, {"name": "b", "type": "text"})
    heard: list[dict[str, Any]] = []

    async def hear(payload: bytes) -> None:
        heard.append(msgspec.json.decode(payload))

    service.bus.listen(f"evt.{service.tenant_id}.records.>", hear)
    await service.bus.client.flush()
    made = await service.client.create(pipeline, {"a": "1", "b": "1"})
    path = f"/pipelines/{pipeline}/records/{made['id']}"
    await service.client.patch(path, {"data": {"a": "2"}})
    await service.client.delete(path)
    await eventually(lambda: _has(heard, 3))
    assert [event["type"] for event in heard] == [
        "records.record.created", "records.record.updated", "records.record.deleted",
    ]  # fmt: skip
    data = heard[1]["data"]
    assert (data["changed"], data["old"], data["record"]["data"]) == (["a"], {"a": "1"}, {"a": "2", "b": "1"})
    assert (data["actor"]["name"], data["record"]["version"]) == ("Test", 2)


async def _has(heard: list[Any], count: int) -> bool:
    return len(heard) >= count


async def test_a_deleted_tenant_leaves_nothing(service: Service) -> None:
    """When a tenant is deleted, none of its rows stay."""
    pipeline = service.pipeline({"name": "a", "type": "text", "unique": True})
    await service.client.create(pipeline, {"a": "1"})
    event = msgspec.defstruct("Tenant", [("id", UUID)])(service.tenant_id)
    await service.definitions.announce(service.tenant_id, "auth.tenant.deleted", service.tenant_id, event)

    async def gone() -> bool:
        connection = await asyncpg.connect(service.database.admin_dsn)
        counts = [
            await connection.fetchval(f"select count(*) from records.{table} where tenant_id = $1", service.tenant_id)  # noqa: S608
            for table in ("records", "history", "unique_values", "edges", "pipelines")
        ]
        await connection.close()
        return not any(counts)

    await eventually(gone)
