"""The bodies that the OpenAPI document shows do what their operations say, when they are sent as they stand."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.crm import Json, make_pipeline, make_record, told
from tests.support.platform import Tenant

pytestmark = pytest.mark.journey

ROOT = Path(__file__).parents[2]
# What stands for the pipeline, role or record, and for a second record, in all examples.
ONE = "0198f2b4-5c1e-7a3d-9b6f-2d4e8c0a1f35"
OTHER = "0198f2b4-77d0-7c42-8e15-6a9b3f5d7c21"


async def send(tenant: Tenant, operation: str, *, one: str = ONE, other: str = OTHER, **named: str) -> Any:
    """The answer to an operation's example, which must be good, with ids of what there is."""
    method, path = operation.split(" ")
    for file in (ROOT / "services").glob("*/routes/examples.json"):
        examples: Json = json.loads(file.read_text())
        if operation in examples:
            body = json.dumps(examples[operation]).replace(ONE, one).replace(OTHER, other)
            content = {"content": body, "headers": {"content-type": "application/json"}}
            answer = await tenant.client.request(method, path.format(**named), **content)
            found = told(answer, answer.status_code if answer.is_success else 200)
            _looks_like_its_example(file.with_name("answers.json"), operation, found)
            return found
    raise AssertionError(operation)


def _looks_like_its_example(file: Path, operation: str, found: Json) -> None:
    """The members of an answer are those of the answer that is shown, where one is."""
    shown = json.loads(file.read_text()).get(operation) if file.is_file() else None
    if shown is not None:
        assert found.keys() == shown.keys(), operation


async def test_the_examples_of_pipelines_make_one(tenant: Tenant) -> None:
    """A pipeline, a field, a rule, a view and a plan, each on what the one before made."""
    pipeline_id = (await send(tenant, "POST /pipelines"))["id"]
    below = "/pipelines/{pipeline_id}"
    field = await send(tenant, f"POST {below}/fields", pipeline_id=pipeline_id)
    changed = await send(tenant, f"PATCH {below}/fields/{{field}}", pipeline_id=pipeline_id, field=field["name"])
    assert changed["label"] == "Value of the deal"
    rule = await send(tenant, f"POST {below}/rules", pipeline_id=pipeline_id)
    await send(tenant, f"PATCH {below}/rules/{{rule_id}}", pipeline_id=pipeline_id, rule_id=rule["id"])
    view = await send(tenant, f"POST {below}/views", pipeline_id=pipeline_id)
    await send(tenant, f"PATCH {below}/views/{{view_id}}", pipeline_id=pipeline_id, view_id=view["id"])
    await send(tenant, f"POST {below}/clone", pipeline_id=pipeline_id)
    await send(tenant, f"POST {below}/schema/plan", pipeline_id=pipeline_id)
    assert (await send(tenant, f"PATCH {below}", pipeline_id=pipeline_id))["name"] == "Deals abroad"


async def test_the_examples_of_records_make_and_change_them(tenant: Tenant) -> None:
    """A record that is related to another one, changed, counted up, taken back, merged, and one of a batch."""
    pipeline_id = (await send(tenant, "POST /pipelines"))["id"]
    first, second = [await make_record(tenant.client, {"id": pipeline_id}, {"name": name}) for name in ("One", "Two")]
    below = "/pipelines/{pipeline_id}/records"
    made = await send(tenant, f"POST {below}", one=pipeline_id, other=first["id"], pipeline_id=pipeline_id)
    assert made["relationships"][0]["relationship_type"] == "works_at"
    place = {"pipeline_id": pipeline_id, "record_id": made["id"]}
    assert (await send(tenant, f"PATCH {below}/{{record_id}}", **place))["data"]["stage"] == "won"
    assert (await send(tenant, f"POST {below}/{{record_id}}/increment", **place))["data"]["amount"] == 12600
    await send(tenant, f"POST {below}/{{record_id}}/revert", **place)
    await send(tenant, "POST /records/merge", one=made["id"], other=first["id"])
    third = await make_record(tenant.client, {"id": pipeline_id}, {"name": "Three"})
    for amount in (1, 2):  # The example names version 3.
        path = f"/pipelines/{pipeline_id}/records/{third['id']}"
        told(await tenant.client.patch(path, json={"data": {"amount": amount}}))
    batch = await send(tenant, f"POST {below}/batch", one=third["id"], other=second["id"], pipeline_id=pipeline_id)
    assert [result["status"] for result in batch["results"]] == ["created", "updated", "deleted"]
    fourth = await make_record(tenant.client, {"id": pipeline_id}, {"name": "Four"})
    await send(tenant, f"PUT {below}/{{record_id}}", pipeline_id=pipeline_id, record_id=fourth["id"])


async def test_the_examples_of_auth_let_people_and_machines_in(tenant: Tenant) -> None:
    """A role, somebody who is invited with it, a key that has it, and the organization and oneself by other names."""
    fields = ({"name": "owner", "type": "user"},)
    pipeline = await make_pipeline(tenant.client, "Deals", *fields)
    role = await send(tenant, "POST /roles", one=pipeline["id"])
    await send(tenant, "PATCH /roles/{role_id}", role_id=role["id"])
    await send(tenant, "POST /invitations", one=role["id"])
    for kind in ("api-keys", "devices"):
        key = await send(tenant, f"POST /{kind}", one=role["id"])
        await send(tenant, f"PATCH /{kind}/{{key_id}}", key_id=key["id"])
    assert (await send(tenant, "PATCH /organizations/current"))["name"] == "Acme Ltd"
    assert (await send(tenant, "PATCH /users/me"))["name"] == "Ada King"
    await send(tenant, "POST /organizations/current/domains")
