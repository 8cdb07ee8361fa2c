"""A person is told of what concerns them, in the app and by mail, and ends the mails without signing in."""

import email
import email.policy
import re

import httpx
import pytest

from tests.journeys.crm import colleague, make_pipeline, make_record, text, told
from tests.support.platform import Platform, Tenant
from tests.support.waiting import eventually

pytestmark = pytest.mark.journey


async def test_an_assignment_reaches_a_colleague(stack: Platform, tenant: Tenant) -> None:
    """Whom a field names reads of it at once, gets one mail, and gets no more after one click in it."""
    pipeline = await make_pipeline(tenant.client, "Tasks", text("name"), {"name": "assignee", "type": "user"})
    async with colleague(stack.url, tenant, "member") as (member, api, _):
        await make_record(tenant.client, pipeline, {"name": "Call Ann", "assignee": member["id"]})

        async def items() -> list[dict[str, object]]:
            return list(told(await api.get("/notifications"))["items"])

        await eventually(items)
        assert [it["text"] for it in await items()] == ["Olga assigned you Call Ann."]

        def mails() -> list[email.message.Message]:
            files = sorted(stack.stack.home.mail.glob("*.eml"))
            found = [email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files]
            return [it for it in found if it["To"] == member["email"] and it["List-Unsubscribe"]]

        async def mailed() -> bool:
            return bool(mails())

        await eventually(mailed)
        link = re.search(r"<(http[^>]+)>", mails()[0]["List-Unsubscribe"])
        assert link
        path = httpx.URL(link[1])
        async with httpx.AsyncClient(base_url=stack.url) as anyone:
            done = await anyone.post(path.raw_path.decode(), data={"List-Unsubscribe": "One-Click"})
        assert done.status_code == 200, done.text
        kinds = told(await api.get("/notifications/preferences"))["kinds"]
        assert (kinds["assigned"]["mail"], kinds["mentioned"]["mail"]) == (False, True)
