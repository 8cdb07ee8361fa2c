"""Logs tell what happened, and neither secrets nor who people are.

At the end of a run the logs of all journeys are searched as well, by the fixture that ends the platform.
"""

from uuid import uuid4

import pytest

from tests.journeys.crm import make_pipeline, make_record, text, told
from tests.support.logs import faults, leaks
from tests.support.platform import PASSWORD, Platform, Tenant, client
from tests.support.waiting import eventually

pytestmark = pytest.mark.journey


@pytest.mark.parametrize(
    "line",
    [
        '{"event":"sign-in","email":"ada@example.com"}',
        f'{{"password":"{PASSWORD}"}}',
        '{"token":"eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxMjM0NSJ9.c2ln"}',
        '{"key":"mlr_0190a0000000700080000000000000ab"}',
        '{"error":"cannot connect to postgresql://millrace_auth:s3cret@db/millrace"}',
        '{"secret":"of-the-platform"}',
    ],
)
def test_what_is_searched_for_is_found(line: str) -> None:
    """Each kind of secret and an address of a person is recognised."""
    assert list(leaks(line, {"auth": "of-the-platform"}))


async def test_logs_hold_no_secrets_and_no_personal_data(stack: Platform, tenant: Tenant) -> None:
    """After sign-ins, keys, invitations, writes, refusals and errors, every line is JSON and tells nothing of these."""
    api = tenant.client
    sign_in = {"email": tenant.email, "password": tenant.password}
    async with client(stack.url, **{"X-Tenant": tenant.slug}) as anonymous:
        told(await anonymous.post("/auth/login", json=sign_in))
        assert (await anonymous.post("/auth/login", json={**sign_in, "password": "wrong one 12345"})).status_code == 401
        await anonymous.post("/auth/refresh", json={"refresh_token": tenant.refresh_token})
        await anonymous.post("/auth/login", content=f'{{"email": "{tenant.email}", "password": '.encode())
    key = told(await api.post("/api-keys", json={"name": "Logs", "roles": ["viewer"]}), 201)["key"]
    async with client(stack.url, key) as machine:
        told(await machine.get("/users"))
    await api.post("/invitations", json={"email": "guest@example.org", "roles": ["viewer"]})
    word = f"word{uuid4().hex}"
    pipeline = await make_pipeline(api, f"People of {word}", text("email"), text("about", unique=True))
    record = await make_record(api, pipeline, {"email": "someone@example.net", "about": word})
    again = await api.post(f"/pipelines/{pipeline['id']}/records", json={"data": {"about": word}})
    assert again.status_code == 422
    told(await api.get("/search", params={"q": word}))
    await api.patch(f"/pipelines/{pipeline['id']}/records/{record['id']}", json={"data": {"email": 5}})
    await api.get(f"/pipelines/{pipeline['id']}/records?filter[email]=someone@example.net&sort=nothing")
    await api.get("/nowhere/someone@example.net")

    async def handled() -> bool:
        page = told(await api.get("/changes?since=0"))
        return any(item["type"] == "record_created" for item in page["items"])

    await eventually(handled)
    assert faults(stack.stack, what_somebody_wrote=word) == []
