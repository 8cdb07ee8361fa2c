"""Versions of users and roles: no update is lost, and what is known is not sent again."""

import asyncio

import httpx
import pytest

from tests.auth.support import Tenant, problem


async def ask(it: Tenant, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
    """A request with conditions."""
    sent = {"authorization": f"Bearer {it.told['access_token']}"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return await it.http.request(method, f"/api/v1{path}", json=body, headers=sent)


@pytest.fixture
async def paths(tenant: Tenant) -> list[str]:
    """A user and a role."""
    user = await tenant.add("member")
    role = (await tenant.ask("POST", "/roles", json={"name": "Guides"})).json()
    return [f"/users/{user['id']}", f"/roles/{role['id']}"]


async def test_of_parallel_changes_one_wins(tenant: Tenant, paths: list[str]) -> None:
    """Who changes or deletes what another has changed since is told the version that it has now."""
    for path in paths:
        known = (await ask(tenant, "GET", path)).headers["etag"]
        answers = await asyncio.gather(
            *(ask(tenant, "PATCH", path, {"name": f"Name {number}"}, if_match=known) for number in range(4))
        )
        assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412]
        assert problem(await ask(tenant, "DELETE", path, if_match=known)) == (412, "stale-version")
        now = (await ask(tenant, "GET", path)).headers["etag"]
        won = next(answer for answer in answers if answer.status_code == 200)
        assert won.headers["etag"] == now
        assert (await ask(tenant, "DELETE", path, if_match=f'"1", {now}')).status_code == 204


async def test_what_is_known_is_not_sent_again(tenant: Tenant, paths: list[str]) -> None:
    """Until it changes; what is no entity tag is malformed, `*` is any version."""
    for path in paths:
        known = (await ask(tenant, "GET", path)).headers["etag"]
        same = await ask(tenant, "GET", path, if_none_match=known)
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", known)
        assert (await ask(tenant, "PATCH", path, {"name": "Other"}, if_match="*")).status_code == 200
        assert (await ask(tenant, "GET", path, if_none_match=known)).status_code == 200
        assert (await ask(tenant, "PATCH", path, {"name": "x"}, if_match="7")).status_code == 400
