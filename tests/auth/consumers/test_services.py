"""What other services ask of auth over NATS."""

from typing import Any

import msgspec
import pytest

from libs.common.bus import Bus
from libs.common.errors import Malformed, NotFound
from tests.auth.support import Tenant


class Users(msgspec.Struct):
    """Those whom there are."""

    users: list[dict[str, str]]


class Standing(msgspec.Struct):
    """The roles of who may come in."""

    roles: tuple[str, ...]


async def test_who_may_come_in_is_told_with_the_roles_of_now(tenant: Tenant, bus: Bus) -> None:
    """Of users that are active and of keys that are good, in their own tenant; of all others nothing."""

    async def standing(id_: str, kind: str, tenant_id: Any = tenant.id) -> tuple[str, ...]:
        question = {"tenant_id": tenant_id, "id": id_, "kind": kind}
        return (await bus.request("rpc.auth.standing", question, Standing)).roles

    member, viewer = await tenant.add("member"), await tenant.role("viewer")
    await tenant.ask("PATCH", f"/users/{member['id']}", json={"roles": ["viewer"]})
    assert await standing(member["id"], "user") == (viewer["id"],)
    key = (await tenant.ask("POST", "/api-keys", json={"name": "k", "roles": ["viewer"]})).json()["id"]
    assert await standing(key, "api_key") == (viewer["id"],)
    await tenant.ask("POST", f"/users/{member['id']}/deactivate")
    await tenant.ask("DELETE", f"/api-keys/{key}")
    for id_, kind in ((member["id"], "user"), (key, "api_key"), (key, "device"), (member["id"], "api_key")):
        with pytest.raises(NotFound):
            await standing(id_, kind)
    with pytest.raises(NotFound):
        await standing(str(tenant.told["user"]["id"]), "user", member["id"])


async def test_users_are_introduced_by_id_and_by_name(tenant: Tenant, other: Tenant, bus: Bus) -> None:
    """Those of the tenant, in one answer, whatever the case of a name; of too many nobody is asked."""
    member, stranger = await tenant.add("member"), await other.add("member")

    async def known(**asked: Any) -> set[str]:
        found = await bus.request("rpc.auth.users", {"tenant_id": tenant.id, **asked}, Users)
        return {it["id"] for it in found.users}

    me = str(tenant.told["user"]["id"])
    assert await known(user_ids=[member["id"], me, stranger["id"]]) == {member["id"], me}
    assert member["id"] in await known(names=[member["name"].upper(), "Nobody"])
    assert await known() == set()
    with pytest.raises(Malformed):
        await known(names=["x"] * 1001)


async def test_a_language_is_the_users_or_the_organizations(tenant: Tenant, other: Tenant, bus: Bus) -> None:
    """Of a user of the tenant their own, of a key or a stranger that of the organization."""
    member, stranger = await tenant.add("member"), await other.add("member")
    assert (await tenant.ask("PATCH", f"/users/{member['id']}", json={"locale": "de-AT"})).status_code == 200
    await tenant.ask("PATCH", "/organizations/current", json={"locale": "fi"})
    for id_, expected in ((member["id"], "de-AT"), (stranger["id"], "fi")):
        found = await bus.request("rpc.auth.locale", {"tenant_id": tenant.id, "user_id": id_}, dict[str, str])
        assert found == {"locale": expected}
