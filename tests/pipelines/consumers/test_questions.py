from typing import Any
from uuid import UUID

import pytest

from libs.common.bus import Bus
from libs.common.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from libs.common.ids import new_id
from libs.common.permissions import Grant
from tests.pipelines.conftest import Json, Service


def token(headers: dict[str, str]) -> str:
    """The token in a header."""
    return headers["Authorization"].removeprefix("Bearer ")


async def definition(bus: Bus, tenant: UUID, pipeline_id: object) -> Json:
    """What the service answers to the question for a definition."""
    question = {"tenant_id": tenant, "pipeline_id": pipeline_id}
    return await bus.request("rpc.pipelines.definition", question, dict[str, Any])


async def use(bus: Bus, headers: dict[str, str], name: str = "knows", **ends: object) -> Json:
    """The type of that name, on a user's behalf."""
    question = {"token": token(headers), "name": name, **ends}
    return await bus.request("rpc.pipelines.relationship_type", question, dict[str, Any])


async def test_a_definition_is_answered(service: Service, bus: Bus) -> None:
    """The answer is what the event carries, also from the trash; another tenant's question finds nothing."""
    made = await service.create()
    answer = await definition(bus, service.tenant, made["id"])
    assert (answer["version"], answer["deleted"]) == (1, False)
    assert answer["fields"] == made["schema_definition"]["fields"]
    await service.client.delete(f"/pipelines/{made['id']}")
    assert (await definition(bus, service.tenant, made["id"]))["deleted"] is True
    with pytest.raises(NotFound):
        await definition(bus, new_id(), made["id"])


async def test_a_type_is_made_on_first_use(service: Service, bus: Bus) -> None:
    """The first use makes it, the second finds it, another pair of pipelines widens it."""
    one, other = (await service.create("a"))["id"], (await service.create("b"))["id"]
    owner = service.user()
    made = await use(bus, owner, source_pipeline=one, target_pipeline=other)
    assert (made["source_pipeline"], made["target_pipeline"], made["cardinality"]) == (one, other, "many_to_many")
    assert await use(bus, owner, source_pipeline=one, target_pipeline=other) == made
    grown = await use(bus, owner, source_pipeline=other, target_pipeline=other)
    assert (grown["id"], grown["source_pipeline"], grown["target_pipeline"]) == (made["id"], None, other)
    body = {"name": "employs", "inverse_name": "works_at", "source_pipeline": one, "target_pipeline": other}
    known = (await service.client.post("/relationship-types", json=body)).json()
    inverse = await use(bus, owner, "works_at", source_pipeline=other, target_pipeline=one)
    assert (inverse["id"], inverse["name"]) == (known["id"], "employs")


async def test_first_use_needs_the_right(service: Service, bus: Bus) -> None:
    """Without `manage` a type is found but not made; a token that is none is refused."""
    member = service.user(Grant("records", ("*",)))
    with pytest.raises(Forbidden):
        await use(bus, member)
    made = await use(bus, service.user())
    assert await use(bus, member) == made
    with pytest.raises(Unauthenticated):
        await use(bus, {"Authorization": "Bearer x.y.z"})


async def test_first_use_is_checked(service: Service, bus: Bus) -> None:
    """A name that is none and pipelines of another tenant are faults; a type made by hand is a conflict."""
    with pytest.raises(Invalid) as caught:
        await use(bus, service.user(), "Bad Name", source_pipeline=new_id())
    assert {fault.pointer for fault in caught.value.errors} == {"/name", "/source_pipeline"}
    pipeline = await service.create()
    await service.client.post("/relationship-types", json={"name": "fixed", "source_pipeline": pipeline["id"]})
    other = await service.create("b")
    with pytest.raises(Conflict):
        await use(bus, service.user(), "fixed", source_pipeline=other["id"])
