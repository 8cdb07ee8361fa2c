"""Why something is allowed or denied."""

from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from libs.common.bus import Bus
from libs.common.errors import NotFound
from tests.auth.support import Tenant, problem


async def explain(tenant: Tenant, token: str | None = None, **query: str) -> dict[str, Any]:
    """The explanation."""
    answer = await tenant.ask("GET", "/permissions/explain", token, params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_what_is_allowed_names_the_grant_and_its_role(tenant: Tenant) -> None:
    """The owner may by the grant of everything."""
    told = await explain(tenant, action="delete", resource="records")
    assert told["allowed"] is True
    (reason,) = told["reasons"]
    assert (reason["role"]["slug"], reason["inherited_by"]) == ("owner", None)
    assert reason["grant"] == {"resource": "*", "actions": ["*"]}


async def test_what_is_denied_names_the_roles_considered(tenant: Tenant) -> None:
    """A viewer may not delete, and sees which roles were asked."""
    told = await explain(tenant, await tenant.token_of("viewer"), action="delete", resource="records")
    assert (told["allowed"], told["reasons"]) == (False, [])
    assert [role["slug"] for role in told["considered"]] == ["viewer"]


async def test_inheritance_is_explained(tenant: Tenant) -> None:
    """The role that grants, and the role that inherits it."""
    viewer = await tenant.role("viewer")
    await tenant.ask("POST", "/roles", json={"name": "Guest", "inherits": [viewer["id"]]})
    token = await tenant.token_of("guest")
    (reason,) = (await explain(tenant, token, action="read", resource="records"))["reasons"]
    assert (reason["role"]["slug"], reason["inherited_by"]["slug"]) == ("viewer", "guest")


async def test_a_grant_of_one_pipeline_is_explained_for_that_pipeline(tenant: Tenant) -> None:
    """With its row rule; for another pipeline it does not count."""
    pipeline = str(uuid4())
    rule = {"field": "owner", "op": "eq", "value": "$user"}
    grant = {"resource": "records", "actions": ["update"], "pipeline_id": pipeline, "row_rule": rule}
    await tenant.ask("POST", "/roles", json={"name": "Seller", "grants": [grant]})
    token = await tenant.token_of("seller")
    told = await explain(tenant, token, action="update", resource="records", pipeline_id=pipeline)
    assert told["reasons"][0]["grant"] == grant
    assert "row rule" in told["detail"]
    told = await explain(tenant, token, action="update", resource="records", pipeline_id=str(uuid4()))
    assert told["allowed"] is False


async def test_a_record_that_is_not_visible_is_the_reason(tenant: Tenant, bus: Bus) -> None:
    """What the service of records says decides, and tells the pipeline that counts."""
    pipeline, visible = uuid4(), uuid4()

    class Question(msgspec.Struct):
        token: str
        record_id: UUID

    async def record(question: Question) -> dict[str, str]:
        if question.record_id != visible:
            raise NotFound
        return {"id": str(visible), "pipeline_id": str(pipeline), "title": "Acme"}

    bus.serve("rpc.records.record", Question, record)
    await bus.client.flush()
    told = await explain(tenant, action="read", resource="records", record_id=str(visible))
    assert (told["allowed"], told["record_visible"], told["pipeline_id"]) == (True, True, str(pipeline))
    told = await explain(tenant, action="read", resource="records", record_id=str(uuid4()))
    assert (told["allowed"], told["record_visible"]) == (False, False)


async def test_who_may_read_roles_may_ask_for_others(tenant: Tenant, other: Tenant) -> None:
    """An owner asks for a viewer; a viewer does not ask for the owner; nobody for another tenant's users."""
    viewer = await tenant.add("viewer")
    told = await explain(tenant, action="create", resource="records", user_id=viewer["id"])
    assert (told["allowed"], [role["slug"] for role in told["considered"]]) == (False, ["viewer"])
    token = (await tenant.sign_in(viewer["email"]))["access_token"]
    params = {"action": "create", "resource": "records", "user_id": tenant.told["user"]["id"]}
    answer = await tenant.ask("GET", "/permissions/explain", token, params=params)
    assert problem(answer) == (403, "forbidden")
    assert (await other.ask("GET", "/permissions/explain", params=params)).status_code == 404


@pytest.mark.parametrize("query", ["", "action=fly&resource=records", "action=read&resource=records&pipeline_id=x"])
async def test_a_question_that_makes_no_sense_is_refused(tenant: Tenant, query: str) -> None:
    """Missing or odd parameters are faults."""
    assert (await tenant.ask("GET", f"/permissions/explain?{query}")).status_code == 422
