"""What a tenant's plan allows, in every service, through the gateway."""

import asyncio

import httpx
import pytest

from tests.journeys.crm import make_pipeline, text, told
from tests.journeys.test_suspension import millrace
from tests.support.platform import PASSWORD, Platform, Tenant
from tests.support.waiting import eventually

pytestmark = pytest.mark.journey


def refusal(answer: httpx.Response) -> tuple[int, str, str, int, int]:
    """A refusal for the sake of the plan."""
    told = answer.json()
    return answer.status_code, told["type"], told["limit_name"], told["limit"], told["current"]


async def test_a_plan_is_kept_by_every_service(stack: Platform, tenant: Tenant, other_tenant: Tenant) -> None:
    """Users, pipelines and records: as many as it allows, also at once, and no more; others are not limited by it."""
    api = tenant.client
    people = await make_pipeline(api, "People", text("name"))
    await millrace(stack, "tenant", "limits", tenant.slug, "--users", "2", "--pipelines", "2", "--records", "5")

    async def heard() -> bool:
        return told(await api.get("/organizations/current"))["limits"] == {"users": 2, "pipelines": 2, "records": 5}

    await eventually(heard)

    def person(number: int) -> dict[str, object]:
        return {"email": f"p{number}@{tenant.slug}.example.com", "name": "P", "password": PASSWORD, "roles": ["viewer"]}

    users = [await api.post("/users", json=person(number)) for number in range(2)]
    assert users[0].status_code == 201
    assert refusal(users[1]) == (403, "/problems/plan-limit-reached", "users", 2, 2)

    async def limited() -> bool:
        made = await api.post("/pipelines", json={"name": "More", "schema_definition": {"fields": []}})
        return made.status_code == 403 and refusal(made)[2:] == ("pipelines", 2, 2)

    await eventually(limited)
    path = f"/pipelines/{people['id']}/records"
    answers = await asyncio.gather(*(api.post(path, json={"data": {"name": str(n)}}) for n in range(9)))
    made = [answer.json()["id"] for answer in answers if answer.status_code == 201]
    assert len(made) == 5
    refused = {refusal(answer) for answer in answers if answer.status_code != 201}
    assert refused == {(403, "/problems/plan-limit-reached", "records", 5, 5)}
    told(await api.delete(f"{path}/{made[0]}"), 204)
    batch = {"operations": [{"op": "create", "data": {"name": "a"}}, {"op": "create", "data": {"name": "b"}}]}
    results = told(await api.post(f"{path}/batch", json=batch))
    assert (results["created"], results["failed"]) == (1, 1)
    assert refusal(await api.post(f"{path}/{made[0]}/restore"))[2:] == ("records", 5, 5)
    theirs = await make_pipeline(other_tenant.client, "People", text("name"))
    for number in range(6):
        told(
            await other_tenant.client.post(f"/pipelines/{theirs['id']}/records", json={"data": {"name": str(number)}}),
            201,
        )
