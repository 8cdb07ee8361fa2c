"""Locks of fields, and the tokens that fence writes."""

import asyncio
from typing import Any

import pytest

from libs.common.errors import Conflict, Forbidden, Invalid, NotFound
from libs.common.ids import new_id
from libs.common.permissions import Grant
from tests.records.support import Client, Service

FIELDS: list[dict[str, Any]] = [{"name": "a", "type": "text"}, {"name": "n", "type": "number"}]


async def start(service: Service) -> tuple[str, str]:
    """A record and its path."""
    pipeline = service.pipeline(*FIELDS)
    made = await service.client.create(pipeline, {"a": "0", "n": 1})
    return made["id"], f"/pipelines/{pipeline}/records/{made['id']}"


async def lock(
    service: Service, client: Client, record_id: str, field: str = "a", connection: str = "one", seconds: float = 60
) -> int:
    """The token of a lock."""
    token = client.headers["Authorization"].removeprefix("Bearer ")
    question = {
        "token": token, "record_id": record_id, "field": field, "connection": connection, "seconds": seconds
    }  # fmt: skip
    granted = await service.bus.request("rpc.records.lock", question, dict[str, Any], seconds=20)
    return int(granted["token"])


async def told(service: Service, subject: str, record_id: str, token: int, **more: Any) -> list[int]:
    """The tokens that were held, of a renewal or an end."""
    locks = [{"record_id": record_id, "field": "a", "token": token}]
    question = {"tenant_id": service.tenant_id, "locks": locks, **more}
    answer = await service.bus.request(f"rpc.records.{subject}", question, dict[str, list[int]], seconds=20)
    return answer["tokens"]


def holding(*tokens: int) -> dict[str, str]:
    """The header of who holds locks."""
    return {"X-Lock-Token": ", ".join(str(token) for token in tokens)}


async def test_only_the_holder_writes_a_locked_field(service: Service) -> None:
    """Without the token every way of writing the field is refused, with the holder's name; other fields are free."""
    record_id, path = await start(service)
    token = await lock(service, service.client, record_id)
    refused = await service.client.patch(path, {"data": {"a": "1"}})
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/locked")
    assert (refused.json()["field"], set(refused.json()["holder"])) == ("a", {"id", "name"})
    assert (await service.client.put(path, {"data": {"n": 1}})).status_code == 409
    batch = [{"op": "update", "id": record_id, "data": {"a": "1"}}]
    assert (await service.client.batch(path.rsplit("/", 2)[0].split("/")[2], batch))["failed"] == 1  # type: ignore[arg-type]
    assert (await service.client.patch(path, {"data": {"n": 2}})).status_code == 200
    written = await service.client.patch(path, {"data": {"a": "1"}}, headers=holding(token))
    assert (written.status_code, written.json()["data"]) == (200, {"a": "1", "n": 2})


async def test_a_token_is_its_principals_alone(service: Service) -> None:
    """Who guesses the number of another's lock is refused, and numbers that are none are malformed."""
    record_id, path = await start(service)
    token = await lock(service, service.client, record_id)
    other = service.principal(Grant("*", ("*",)))
    assert (await other.patch(path, {"data": {"a": "1"}}, headers=holding(token))).status_code == 409
    assert (await other.patch(path, {"data": {"a": "1"}}, headers={"X-Lock-Token": "x"})).status_code == 400


async def test_a_late_write_of_the_old_holder_is_refused(service: Service) -> None:
    """After the lease has ended another gets a higher token; the old one writes neither then nor after its release."""
    record_id, path = await start(service)
    old = await lock(service, service.client, record_id, seconds=0.001)
    other = service.principal(Grant("*", ("*",)))
    new = await lock(service, other, record_id, connection="two")
    assert new > old
    late = await service.client.patch(path, {"data": {"a": "late"}}, headers=holding(old))
    assert (late.status_code, late.json()["type"]) == (409, "/problems/locked")
    assert await told(service, "unlock", record_id, old) == []
    assert await told(service, "unlock", record_id, new) == [new]
    late = await service.client.patch(path, {"data": {"a": "late"}}, headers=holding(old))
    assert (late.status_code, late.json()["type"]) == (409, "/problems/lock-lost")
    assert (await service.client.patch(path, {"data": {"a": "free"}})).status_code == 200


async def test_a_lease_that_ended_hinders_nobody_and_is_kept_where_nobody_came(service: Service) -> None:
    """Its field is written without a token; its holder may renew it, and write, as long as nobody else got it."""
    record_id, path = await start(service)
    token = await lock(service, service.client, record_id, seconds=0.001)
    assert (await service.client.patch(path, {"data": {"a": "1"}})).status_code == 200
    assert (await service.client.patch(path, {"data": {"a": "2"}}, headers=holding(token))).status_code == 200
    assert await told(service, "renew_locks", record_id, token, seconds=60) == [token]
    assert (await service.client.patch(path, {"data": {"a": "3"}})).status_code == 409


async def test_a_lock_is_one_connections(service: Service) -> None:
    """Of many at once one gets it; asked again it has the same token, and any other connection is told who holds it."""
    record_id, _ = await start(service)
    names = [f"c{n}" for n in range(8)]
    found = await asyncio.gather(
        *(lock(service, service.client, record_id, connection=name) for name in names), return_exceptions=True
    )
    (winner,) = [index for index, one in enumerate(found) if isinstance(one, int)]
    assert all(isinstance(one, Conflict) and one.code == "locked" for n, one in enumerate(found) if n != winner)
    assert await lock(service, service.client, record_id, connection=names[winner]) == found[winner]


async def test_who_may_not_write_a_field_may_not_lock_it(service: Service) -> None:
    """A field that is not writable, not readable or not there, and a record that is not visible, cannot be locked."""
    record_id, _ = await start(service)
    reader = service.principal(Grant("records", ("read",)))
    with pytest.raises(Forbidden):
        await lock(service, reader, record_id)
    blind = service.principal(
        Grant("records", ("read",), readable_fields=frozenset({"n"})), Grant("records", ("update",))
    )
    with pytest.raises(Forbidden):
        await lock(service, blind, record_id)
    with pytest.raises(Invalid):
        await lock(service, service.client, record_id, "nothing")
    elsewhere = service.principal(Grant("records", ("read", "update"), new_id()))
    for client, where in ((elsewhere, record_id), (service.client, str(new_id()))):
        with pytest.raises((NotFound, Forbidden)):
            await lock(service, client, where)


async def test_increments_heed_locks(service: Service) -> None:
    """A locked number is not added to, and beside another locked field it is; once all are free it is again."""
    record_id, path = await start(service)
    token = await lock(service, service.client, record_id)
    assert (await service.client.post(f"{path}/increment", {"field": "n", "by": 1})).status_code == 200
    await lock(service, service.client, record_id, "n")
    assert (await service.client.post(f"{path}/increment", {"field": "n", "by": 1})).status_code == 409
    await told(service, "unlock", record_id, token)
    assert (await service.client.post(f"{path}/increment", {"field": "n", "by": 1})).status_code == 409


async def test_a_lock_waits_for_the_write_under_way(service: Service) -> None:
    """A lock that is granted while others write is granted after or before each of them, never amid one."""
    record_id, path = await start(service)
    writes = [service.client.patch(path, {"data": {"a": f"w{n}"}}) for n in range(20)]
    token, *answers = await asyncio.gather(lock(service, service.client, record_id), *writes)
    assert {one.status_code for one in answers} <= {200, 409}
    before = (await service.client.get(path)).json()["version"]
    assert (await service.client.patch(path, {"data": {"a": "x"}})).status_code == 409
    mine = await service.client.patch(path, {"data": {"a": "mine"}}, headers=holding(token))
    assert mine.json()["version"] == before + 1
