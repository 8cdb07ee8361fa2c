"""Conditional rules hold on every way a record is written."""

from typing import Any

from services.records.domain.definitions import Rule
from tests.records.support import Service
from tests.support.waiting import eventually

FIELDS = [
    {"name": "name", "type": "text", "required": True},
    {"name": "score", "type": "number", "default": 1},
    {"name": "reason", "type": "text"},
    {"name": "secret", "type": "text", "required": True},
    {"name": "code", "type": "text"},
]
RULES = (
    Rule(effect="require", when={"field": "score", "op": "gte", "value": 50}, fields=("reason",)),
    Rule(effect="hide", when={"field": "name", "value": "public"}, fields=("secret",)),
    Rule(effect="show", when={"field": "score", "op": "lt", "value": 10}, fields=("code",)),
)


def told(answer: Any) -> set[tuple[str, str]]:
    """Pointer and code of each fault of a refusal."""
    assert answer.status_code == 422, answer.text
    return {(fault["pointer"], fault["code"]) for fault in answer.json()["errors"]}


async def test_rules_hold_at_creation(service: Service) -> None:
    """What a rule requires is missed, what it hides is refused, and what is hidden is not required; all at once."""
    pipeline = service.pipeline(*FIELDS, rules=RULES)
    path = f"/pipelines/{pipeline}/records"
    data: dict[str, Any] = {"name": "public", "score": 50, "secret": "s", "code": "c"}
    assert told(await service.client.post(path, {"data": data})) == {
        ("/data/reason", "required_by_rule"), ("/data/secret", "hidden_by_rule"), ("/data/code", "hidden_by_rule"),
    }  # fmt: skip
    await service.client.create(pipeline, {"name": "public"})
    assert told(await service.client.post(path, {"data": {"name": "a"}})) == {("/data/secret", "required")}


async def test_rules_hold_on_every_way_of_change(service: Service) -> None:
    """PATCH, PUT, increment, batch and upsert are refused alike when they would break a rule."""
    unique = [{**FIELDS[0], "unique": True}, *FIELDS[1:]]
    pipeline = service.pipeline(*unique, rules=RULES)
    made = await service.client.create(pipeline, {"name": "a", "score": 49, "secret": "s"})
    path = f"/pipelines/{pipeline}/records"
    one = f"{path}/{made['id']}"
    missing = {("/data/reason", "required_by_rule")}
    assert told(await service.client.patch(one, {"data": {"score": 50}})) == missing
    assert told(await service.client.put(one, {"data": {"name": "a", "secret": "s", "score": 50}})) == missing
    assert told(await service.client.post(f"{one}/increment", {"field": "score", "by": 1})) == missing
    assert told(await service.client.put(f"{path}/by/name/a", {"data": {"score": 60}})) == missing
    done = await service.client.batch(pipeline, [{"op": "update", "id": made["id"], "data": {"score": 50}}])
    assert done["results"][0]["errors"][0]["code"] == "required_by_rule"
    assert (await service.client.get(one)).json()["version"] == 1
    assert (await service.client.patch(one, {"data": {"score": 50, "reason": "big"}})).status_code == 200
    assert told(await service.client.patch(one, {"data": {"reason": None}})) == missing


async def test_a_new_rule_does_not_lock_old_records(service: Service) -> None:
    """A record that breaks a rule already may be changed elsewhere, and its hidden value stays or is cleared."""
    pipeline = service.pipeline(*FIELDS)
    made = await service.client.create(pipeline, {"name": "public", "score": 70, "secret": "s", "code": "c"})
    service.definitions.pipeline(service.tenant_id, *FIELDS, id=pipeline, rules=RULES)
    definition = service.definitions.pipelines[service.tenant_id, pipeline]
    await service.definitions.announce(service.tenant_id, "pipelines.pipeline.updated", pipeline, definition)
    one = f"/pipelines/{pipeline}/records/{made['id']}"

    async def refused() -> bool:
        return (await service.client.patch(one, {"data": {"code": "d"}})).status_code == 422

    await eventually(refused)
    assert (await service.client.patch(one, {"data": {"score": 80}})).status_code == 200
    assert (await service.client.patch(one, {"data": {"code": None}})).status_code == 200
