"""Fields whose values are more than one JSON value, or are not the client's to give."""

import asyncio
from typing import Any
from uuid import UUID

import msgspec

from libs.common.ids import new_id
from tests.records.support import Service
from tests.support.waiting import eventually


class User(msgspec.Struct):
    """A user as auth announces it."""

    id: str
    name: str


async def names(service: Service, pipeline: object, query: str) -> list[str]:
    """The names of what a list finds."""
    answer = await service.client.get(f"/pipelines/{pipeline}/records?{query}")
    assert answer.status_code == 200, answer.text
    return [item["data"]["name"] for item in answer.json()["items"]]


async def test_automatic_numbers_are_given_once(service: Service) -> None:
    """Of creations at once, alone and in a batch, each record gets a number of its own, from 1 on."""
    pipeline = service.pipeline({"name": "no", "type": "auto_number", "prefix": "INV-", "padding": 4})
    operations = [{"op": "create", "data": {}} for _ in range(10)]
    made = [service.client.create(pipeline, {}) for _ in range(10)]
    await asyncio.gather(*made, service.client.batch(pipeline, operations))
    items = (await service.client.get(f"/pipelines/{pipeline}/records?limit=200&sort=no")).json()["items"]
    assert [item["data"]["no"] for item in items] == [f"INV-{number:04}" for number in range(1, 21)]


async def test_an_automatic_number_survives_replacement(service: Service) -> None:
    """PUT without the number keeps it; a number that a client makes up is refused."""
    pipeline = service.pipeline({"name": "no", "type": "auto_number"}, {"name": "name", "type": "text"})
    made = await service.client.create(pipeline, {"name": "a"})
    path = f"/pipelines/{pipeline}/records/{made['id']}"
    assert (await service.client.put(path, {"data": {"name": "b"}})).json()["data"] == {"no": "1", "name": "b"}
    refused = await service.client.post(f"/pipelines/{pipeline}/records", {"data": {"no": "7"}})
    assert [fault["code"] for fault in refused.json()["errors"]] == ["read_only"]


async def test_a_user_field_takes_users_of_the_tenant(service: Service) -> None:
    """An id that is no user's is a fault, until auth announces the user; who writes may name themselves."""
    one, several = {"name": "owner", "type": "user"}, {"name": "team", "type": "user", "multiple": True}
    pipeline, user = service.pipeline(one, several), new_id()
    path = f"/pipelines/{pipeline}/records"
    refused = await service.client.post(path, {"data": {"owner": str(user), "team": [str(user)]}})
    assert [(f["pointer"], f["code"]) for f in refused.json()["errors"]] == [
        ("/data/owner", "not_found"), ("/data/team", "not_found"),
    ]  # fmt: skip
    await service.definitions.announce(service.tenant_id, "auth.user.created", user, User(str(user), "Ada"))

    async def taken() -> bool:
        return (await service.client.post(path, {"data": {"owner": str(user)}})).status_code == 201

    await eventually(taken)
    me = (await service.client.create(pipeline, {}))["created_by"]
    await service.client.create(pipeline, {"owner": me, "team": [str(user)]})
    found = (await service.client.get(f"{path}?filter[owner]=$user&filter[team][has_any]={user}")).json()["items"]
    assert [item["data"]["owner"] for item in found] == [me]


async def test_users_of_whom_no_event_has_told_are_asked_for(service: Service) -> None:
    """Whom auth has let in is named at once, by whichever way, with one question for all that a request names."""
    pipeline = service.pipeline({"name": "owner", "type": "user"}, {"name": "team", "type": "user", "multiple": True})
    people, asked = service.issuer.people, service.issuer.asked
    ada, eve, nobody = (str(new_id()) for _ in range(3))
    people |= {UUID(ada): "Ada", UUID(eve): "Eve"}
    made = await service.client.create(pipeline, {"owner": ada, "team": [ada, eve]})
    assert (len(asked), {str(it) for it in asked[0].user_ids}) == (1, {ada, eve})
    path = f"/pipelines/{pipeline}/records/{made['id']}"
    assert (await service.client.patch(path, {"data": {"owner": eve}})).status_code == 200
    operations = [{"op": "create", "data": {"owner": it}} for it in (ada, nobody, eve)]
    answer = await service.client.batch(pipeline, operations, atomic=False)
    assert [row["status"] for row in answer["results"]] == ["created", "failed", "created"]
    body, headers = b"owner\nada\nNobody\n", {"content-type": "text/csv"}
    job = (await service.client.call("POST", f"/pipelines/{pipeline}/imports", content=body, headers=headers)).json()

    async def done() -> bool:
        job.update((await service.client.get(f"/imports/{job['id']}")).json())
        return job["state"] == "done"

    await eventually(done)
    assert (job["created"], job["refused"]) == (1, 1)


FIELDS: list[dict[str, Any]] = [
    {"name": "name", "type": "text"},
    {"name": "price", "type": "currency"},
    {"name": "took", "type": "duration"},
    {"name": "home", "type": "address"},
    {"name": "phone", "type": "phone", "default_country": "DE"},
]


PARTS: list[tuple[str, list[str]]] = [
    ("filter[price.currency]=EUR&filter[price.amount][gte]=9.5&sort=-price.amount", ["c", "a"]),
    ("filter[price.amount]=9.5", ["a"]),
    ("filter[took][gt]=PT59M&sort=took", ["b", "c"]),
    ("filter[took]=PT24H", ["c"]),
    ("filter[home.city][icontains]=ULM", ["b"]),
    ("filter[phone]=%2B4930123456", ["a"]),
    ("filter[price][is_null]=", []),
]


async def test_parts_are_filtered_and_sorted(service: Service) -> None:
    """Amounts go by number, durations by length, parts of an address by text."""
    pipeline = service.pipeline(*FIELDS)
    for data in (
        {"name": "a", "price": {"amount": 9.5, "currency": "EUR"}, "phone": "030/123456", "took": "PT9M"},
        {"name": "b", "price": {"amount": 100, "currency": "USD"}, "took": "PT60M", "home": {"city": "Ulm"}},
        {"name": "c", "price": {"amount": "10.00", "currency": "EUR"}, "took": "P1D"},
    ):
        await service.client.create(pipeline, data)
    for query, expected in PARTS:
        assert await names(service, pipeline, query) == expected, query


async def test_a_part_is_patched(service: Service) -> None:
    """A merge patch changes the amount and leaves the currency; the whole is checked again."""
    pipeline = service.pipeline(*FIELDS)
    made = await service.client.create(pipeline, {"price": {"amount": 1, "currency": "JPY"}})
    path = f"/pipelines/{pipeline}/records/{made['id']}"
    patched = await service.client.patch(path, {"data": {"price": {"amount": 2}}})
    assert patched.json()["data"]["price"] == {"amount": 2, "currency": "JPY"}
    refused = await service.client.patch(path, {"data": {"price": {"amount": 2.5}}})
    assert [(f["pointer"], f["code"]) for f in refused.json()["errors"]] == [
        ("/data/price/amount", "too_many_decimals")
    ]
