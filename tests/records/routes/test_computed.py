"""Formulas, lookups and rollups through every door, alone and among several writers."""

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from libs.common.ids import new_id
from libs.common.permissions import Grant
from services.records.domain.definitions import Pending, Rule
from services.records.usecases import heavy
from tests.records.support import Client, Service
from tests.support.waiting import eventually

Json = dict[str, Any]
WORKS = "belongs_to"


def formula(name: str, expression: str, kind: str = "number", **more: Any) -> Json:
    """A formula as pipelines announces it."""
    return {"name": name, "type": "formula", "expression": expression, "result_type": kind, **more}


def through(name: str, type_: str, target: UUID, **more: Any) -> Json:
    """A lookup or rollup as pipelines announces it."""
    return {"name": name, "type": type_, "target_pipeline": str(target), "relationship_type": WORKS, **more}


class World:
    """Companies with what is computed of their deals, and deals with what is computed of their company."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.companies, self.deals = new_id(), new_id()
        self.client = service.client

    def fields(self) -> tuple[list[Json], list[Json]]:
        """The fields of companies and of deals."""
        rolled = {"relation": "inverse", "inverse": True, "result_type": "number"}
        won = {"field": "won", "value": True}
        companies = [
            {"name": "name", "type": "text"},
            {"name": "vat", "type": "number"},
            through("deals", "rollup", self.deals, function="count", **rolled),
            through("total", "rollup", self.deals, function="sum", field="net", **rolled),
            through("sold", "rollup", self.deals, function="sum", field="net", filter=won, **rolled),
            through(
                "names", "rollup", self.deals, function="concat", field="name", **{**rolled, "result_type": "text"}
            ),
            formula("gross", "total * (1 + coalesce(vat, 0) / 100)"),
        ]
        looked = {"relation": "company"}
        deals = [
            {"name": "name", "type": "text"},
            {"name": "amount", "type": "number"},
            {"name": "discount", "type": "number"},
            {"name": "won", "type": "boolean"},
            {"name": "company", "type": "relation", "target_pipeline": str(self.companies), "relationship_type": WORKS},
            formula("net", "amount * (1 - coalesce(discount, 0) / 100)"),
            through("firm", "lookup", self.companies, field="name", result_type="text", **looked),
            formula("called", "upper(firm) & ': ' & name", "text"),
        ]
        return companies, deals

    async def begin(self) -> "World":
        """Announces the pipelines."""
        companies, deals = self.fields()
        await self.announce(self.deals, *deals)
        await self.announce(self.companies, *companies)
        return self

    async def announce(self, pipeline_id: UUID, *fields: Json, **options: Any) -> None:
        """Announces a definition, and waits until it was heard of."""
        service = self.service
        service.pipeline(*fields, id=pipeline_id, **options)
        definition = service.definitions.pipelines[service.tenant_id, pipeline_id]
        await service.definitions.announce(service.tenant_id, "pipelines.pipeline.updated", pipeline_id, definition)

        async def heard() -> bool:
            found = await connection.fetchval("select version from records.pipelines where id = $1", pipeline_id)
            return bool(found == definition.version)

        connection = await asyncpg.connect(service.database.admin_dsn)
        try:
            await eventually(heard)
        finally:
            await connection.close()

    async def company(self, **data: Any) -> Json:
        """A new company."""
        return await self.client.create(self.companies, {"name": "Acme", **data})

    async def deal(self, company: Json | None, **data: Any) -> Json:
        """A new deal of a company."""
        link = {"company": company["id"]} if company else {}
        return await self.client.create(self.deals, {"name": "Big", **link, **data})

    async def data(self, record: Json) -> Json:
        """The data of a record by now."""
        answer = await self.client.get(f"/pipelines/{record['pipeline_id']}/records/{record['id']}")
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()["data"]
        return found

    async def patch(self, record: Json, **data: Any) -> Json:
        """A record that was changed."""
        answer = await self.client.patch(f"/pipelines/{record['pipeline_id']}/records/{record['id']}", {"data": data})
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    async def agrees(self) -> None:
        """Every computed value is what computing it from scratch gives."""
        assert await self.faults() == []

    async def faults(self) -> list[str]:
        """What is otherwise than computed from scratch."""
        companies, deals = await self.all(self.companies), await self.all(self.deals)
        wrong: list[str] = []
        by_id = {it["id"]: it for it in companies}
        for deal in deals:
            data = deal["data"]
            net = None if "amount" not in data else data["amount"] * (100 - data.get("discount", 0)) / 100
            firm = by_id.get(data.get("company"), {"data": {}})["data"].get("name")
            called = f"{(firm or '').upper()}: {data['name']}" if firm else None
            called = called or f": {data['name']}"
            expected = {"net": net, "firm": firm, "called": called}
            wrong += [f"deal {k}: {data.get(k)} {v}" for k, v in expected.items() if not _same(data.get(k), v)]
        for company in companies:
            data = company["data"]
            own = [it["data"] for it in deals if it["data"].get("company") == company["id"]]
            total = sum(it.get("net", 0) for it in own)
            sold = sum(it.get("net", 0) for it in own if it.get("won"))
            gross = total * (100 + data.get("vat", 0)) / 100
            expected = {"deals": len(own), "total": total, "sold": sold, "gross": gross}
            wrong += [f"company {k}: {data.get(k)} {v}" for k, v in expected.items() if not _same(data.get(k), v)]
        return wrong

    async def all(self, pipeline_id: UUID) -> list[Json]:
        """All records of a pipeline."""
        answer = await self.client.get(f"/pipelines/{pipeline_id}/records?limit=200")
        found: list[Json] = answer.json()["items"]
        return found


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other) < 1e-6
    return bool(one == other)


@pytest.fixture
async def world(service: Service) -> World:
    """Companies and deals."""
    return await World(service).begin()


async def test_what_follows_from_very_many_follows_later(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes of records of which very many make a value are answered before it follows, by a job that tells how far it
    is; it comes right in the end, and of all the jobs that this took the last is kept.
    """
    monkeypatch.setattr(heavy, "MANY", 3)
    world = await World(service).begin()
    one, other = [await world.company(name=name) for name in "AB"]
    deals = [await world.deal(one, amount=number, won=number % 2 == 0) for number in range(8)]
    operations = [{"op": "update", "id": it["id"], "data": {"amount": 100}} for it in deals]
    for _ in range(3):
        await asyncio.gather(*(world.patch(it, amount=number) for number, it in enumerate(deals)))
        await world.client.batch(world.deals, operations)

    async def right() -> bool:
        return await world.faults() == []

    await eventually(right)
    for deal in deals[:6]:
        await world.patch(deal, company=other["id"])
    await world.patch(deals[7], amount=3)
    await eventually(right)

    async def told() -> bool:
        jobs = (await world.client.get("/jobs?kind=compute&state=done")).json()["items"]
        own = [it for it in jobs if it["pipeline_id"] == str(world.companies)]
        return [it["progress"]["done"] == it["progress"]["total"] > 0 for it in own] == [True]

    await eventually(told)


async def test_a_record_is_made_with_all_that_follows(world: World) -> None:
    """The answer has formulas and lookups at once, and the other side has followed when it comes."""
    company = await world.company(vat=20)
    assert company["data"] == {
        "name": "Acme", "vat": 20, "deals": 0, "total": 0, "sold": 0, "gross": 0,
    }  # fmt: skip
    deal = await world.deal(company, amount=10.5, discount=10)
    assert (deal["version"], deal["data"]["net"], deal["data"]["firm"]) == (1, 9.45, "Acme")
    assert deal["data"]["called"] == "ACME: Big"
    data = await world.data(company)
    assert (data["deals"], data["total"], data["gross"], data["names"]) == (1, 9.45, 11.34, "Big")
    await world.agrees()


async def test_values_follow_changes_of_either_side(world: World) -> None:
    """A changed amount, a changed name, another company, the trash and back: all that looks at them follows."""
    one, other = await world.company(), await world.company(name="Zoë", vat=10)
    deal = await world.deal(one, amount=100)
    await world.patch(deal, amount=50, won=True)
    await world.patch(one, name="New")
    assert (await world.data(deal))["called"] == "NEW: Big"
    await world.agrees()
    await world.patch(deal, company=other["id"])
    assert (await world.data(other))["gross"] == 55
    await world.agrees()
    at = f"/pipelines/{world.deals}/records/{deal['id']}"
    assert (await world.client.delete(at)).status_code == 204
    assert (await world.data(other))["deals"] == 0
    await world.patch(other, name="While away")
    assert (await world.client.post(f"{at}/restore")).status_code == 200
    assert (await world.data(deal))["firm"] == "While away"
    await world.agrees()
    gone = await world.client.delete(f"/pipelines/{world.companies}/records/{other['id']}?permanent=true")
    assert gone.status_code == 204
    await world.agrees()


async def test_batches_increments_and_relationships_are_followed(world: World) -> None:
    """Many at once, a number added to, and the removal of a relationship take the same way."""
    company = await world.company()
    made = await world.client.batch(
        world.deals,
        [{"op": "create", "data": {"name": str(i), "amount": i, "company": company["id"]}} for i in range(20)],
    )
    assert (await world.data(company))["total"] == 190
    first = made["results"][0]["id"]
    answer = await world.client.post(
        f"/pipelines/{world.deals}/records/{first}/increment", {"field": "amount", "by": 7}
    )
    assert answer.json()["data"]["net"] == 7
    assert answer.json()["version"] == 2
    history = (await world.client.get(f"/pipelines/{world.deals}/records/{first}/history")).json()["items"]
    assert sorted(history[0]["changes"]) == ["amount", "net"]
    assert (await world.data(company))["total"] == 197
    at = f"/pipelines/{world.deals}/records/{first}/relationships"
    (edge,) = (await world.client.get(at)).json()["items"]
    assert (await world.client.delete(f"{at}/{edge['id']}")).status_code == 204
    assert (await world.data(company))["deals"] == 19
    await world.agrees()


async def test_computed_values_are_not_given(world: World) -> None:
    """A value for them is refused; one sent back as it is, is not."""
    company = await world.company()
    deal = await world.deal(company, amount=3)
    for data in ({"net": 5}, {"firm": "Mine"}):
        answer = await world.client.post(f"/pipelines/{world.deals}/records", {"data": {"name": "x", **data}})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "read_only")
        answer = await world.client.patch(f"/pipelines/{world.deals}/records/{deal['id']}", {"data": data})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "read_only")
    again = await world.patch(deal, net=3, amount=3)
    assert again["version"] == deal["version"]
    put = await world.client.put(f"/pipelines/{world.deals}/records/{deal['id']}", {"data": {"name": "Put"}})
    assert put.status_code in (200, 405)


async def test_lists_filter_sort_and_add_up(world: World) -> None:
    """Computed values are values: filters, sorts and aggregates take them by their types."""
    company = await world.company()
    for amount in (3, 1, 2):
        await world.deal(company, amount=amount)
    at = f"/pipelines/{world.deals}/records"
    found = (await world.client.get(f"{at}?filter[net][gte]=2&sort=-net")).json()["items"]
    assert [it["data"]["net"] for it in found] == [3, 2]
    found = (await world.client.get(f"{at}?filter[called][starts_with]=ACME")).json()["items"]
    assert len(found) == 3
    answer = (await world.client.get(f"{at}/aggregate?metrics=sum:net")).json()
    assert "6" in str(answer)


async def test_who_may_not_read_a_field_may_read_what_is_computed(world: World) -> None:
    """A computed field is a field of its own: shown where it is named, hidden where it is not."""
    company = await world.company(vat=20)
    deal = await world.deal(company, amount=3)
    shown = frozenset({"name", "net"})
    some = world.service.principal(Grant("records", ("read", "update"), readable_fields=shown))
    at = f"/pipelines/{world.deals}/records/{deal['id']}"
    assert (await some.get(at)).json()["data"] == {"name": "Big", "net": 3}
    refused = await some.get(f"/pipelines/{world.deals}/records?filter[firm]=Acme")
    assert refused.status_code in (400, 422)
    writer = world.service.principal(Grant("records", ("read", "update"), writable_fields=frozenset({"amount"})))
    assert (await writer.patch(at, {"data": {"amount": 9}})).json()["data"]["net"] == 9
    assert (await world.data(company))["total"] == 9


async def test_two_writers_of_children_end_in_the_right_sum(world: World) -> None:
    """Of many who change children of one parent at once nobody's change is missing in the sum, nor in what follows."""
    company = await world.company(vat=10)
    deals = [await world.deal(company, amount=1) for _ in range(6)]

    async def work(deal: Json, client: Client) -> None:
        for amount in range(2, 8):
            answer = await client.patch(f"/pipelines/{world.deals}/records/{deal['id']}", {"data": {"amount": amount}})
            assert answer.status_code == 200, answer.text

    await asyncio.gather(*(work(deal, world.client) for deal in deals))

    async def right() -> bool:
        return (await world.data(company))["total"] == 42

    await eventually(right)
    await world.agrees()


async def test_both_sides_at_once(world: World) -> None:
    """Who renames the parent and who changes its children do not wait for each other in a circle, and all follows."""
    company = await world.company()
    deals = [await world.deal(company, amount=1) for _ in range(4)]

    async def rename() -> None:
        for number in range(8):
            await world.patch(company, name=f"Name {number}")

    async def change(deal: Json) -> None:
        for number in range(8):
            await world.patch(deal, amount=number)

    await asyncio.gather(rename(), *(change(deal) for deal in deals))

    async def right() -> bool:
        return await world.faults() == []

    await eventually(right)


async def test_many_who_follow_are_a_job(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a bound those who look at a record follow by a job that tells how far it is."""
    monkeypatch.setattr("services.records.usecases.following.MAX_INLINE", 5)
    monkeypatch.setattr("services.records.usecases.pacing.MOST", 5)
    company = await world.company()
    await world.client.batch(
        world.deals,
        [{"op": "create", "data": {"name": str(i), "amount": i, "company": company["id"]}} for i in range(12)],
    )
    await world.patch(company, name="Other")

    async def right() -> bool:
        return await world.faults() == []

    await eventually(right)

    async def done() -> bool:
        jobs = (await world.client.get("/jobs?kind=compute&state=done")).json()["items"]
        own = [it for it in jobs if it["pipeline_id"] == str(world.deals) and it["updated"] == 12]
        return [(it["progress"]["done"], it["progress"]["total"]) for it in own] == [(12, 12)]

    await eventually(done)


async def test_lookups_of_several_are_lists(service: Service) -> None:
    """A lookup through a relation to many has the values of all, in their order, and filters as a list of texts."""
    world, teams = World(service), new_id()
    await world.announce(world.companies, {"name": "name", "type": "text"}, {"name": "price", "type": "currency"})
    link = {"target_pipeline": str(world.companies), "relationship_type": "serves"}
    await world.announce(
        teams,
        {"name": "clients", "type": "relation", "cardinality": "many_to_many", **link},
        {"name": "called", "type": "lookup", "relation": "clients", "field": "name", "result_type": "text",
         "multiple": True, **link},
        {"name": "worth", "type": "rollup", "relation": "clients", "field": "price", "function": "max",
         "result_type": "number", **link},
        formula("line", "join(called, ' + ') & ' = ' & worth", "text"),
    )  # fmt: skip
    one = await world.company(name="B", price={"amount": 2.5, "currency": "EUR"})
    other = await world.company(name="A", price={"amount": 12, "currency": "EUR"})
    team = await world.client.create(teams, {"clients": [one["id"], other["id"]]})
    assert team["data"]["called"] == ["B", "A"]
    assert team["data"]["line"] == "B + A = 12"
    await world.patch(other, price={"amount": 3})
    assert (await world.data(team))["line"] == "B + A = 3"
    found = (await world.client.get(f"/pipelines/{teams}/records?filter[called][has_any]=A")).json()["items"]
    assert [it["id"] for it in found] == [team["id"]]


async def test_a_new_computed_field_is_computed_for_what_is_there(world: World) -> None:
    """A definition that asks for it has records computed by its job, and others that look at these follow."""
    company = await world.company()
    deal = await world.deal(company, amount=8)
    companies, deals = world.fields()
    deals = [formula("net", "amount * 2") if it["name"] == "net" else it for it in deals]
    deals.append(formula("size", "if(net > 10, 'big', 'small')", "text"))
    pending = {
        "job_id": str(new_id()), "version": 2, "computes": ["net", "size"],
        "by": {"id": str(new_id()), "kind": "user", "name": "Ada", "roles": []},
    }  # fmt: skip
    await world.announce(world.deals, *deals, pending=(msgspec.convert(pending, Pending),))

    async def followed() -> bool:
        return (await world.data(company))["total"] == 16

    await eventually(followed)
    data = await world.data(deal)
    assert (data["net"], data["size"]) == (16, "big")
    job = (await world.client.get(f"/jobs/{pending['job_id']}")).json()
    assert job["kind"] == "schema"
    assert companies


async def test_a_mark_that_was_left_is_settled(world: World) -> None:
    """What a process marked before it died follows when another looks."""
    company = await world.company()
    deal = await world.deal(company, amount=5)
    connection = await asyncpg.connect(world.service.database.admin_dsn)
    try:
        await connection.execute("update records.records set data = data - 'net' where id = $1", UUID(deal["id"]))
        by = msgspec.json.encode({"id": new_id(), "kind": "user", "name": "Ada", "roles": []}).decode()
        await connection.execute(
            "insert into records.computed_marks (tenant_id, id, pipeline_id, record_id, by)"
            " values ($1, $2, $3, $4, $5)",
            world.service.tenant_id, new_id(), world.deals, UUID(deal["id"]), by,
        )  # fmt: skip
        await connection.execute("notify computed")
    finally:
        await connection.close()

    async def right() -> bool:
        return await world.faults() == [] and (await world.data(deal)).get("net") == 5

    await eventually(right)
    history = await world.client.get(f"/pipelines/{world.deals}/records/{deal['id']}/history")
    assert history.json()["items"][0]["actor"]["name"] == "Ada"


async def test_rules_judge_what_a_lookup_will_be(service: Service) -> None:
    """A write that moves a record to another is judged by what it looks up there, on each way, not by what it did."""
    world = await World(service).begin()
    strict = Rule(effect="require", when={"field": "firm", "value": "Strict"}, fields=("discount",))
    await world.announce(world.deals, *world.fields()[1], rules=(strict,))
    mild, hard = await world.company(name="Mild"), await world.company(name="Strict")
    path = f"/pipelines/{world.deals}/records"
    body = {"name": "a", "company": hard["id"]}
    refused = await service.client.post(path, {"data": body})
    assert refused.status_code == 422
    assert [(it["pointer"], it["code"]) for it in refused.json()["errors"]] == [("/data/discount", "required_by_rule")]
    deal = await world.deal(mild)
    one = f"{path}/{deal['id']}"
    assert (await service.client.patch(one, {"data": {"company": hard["id"]}})).status_code == 422
    operations = [{"op": "create", "data": body}, {"op": "create", "data": {**body, "discount": 1}}]
    answer = await service.client.batch(world.deals, operations)
    assert [it["status"] for it in answer["results"]] == ["failed", "created"]
    moved = await world.patch(deal, company=hard["id"], discount=5)
    assert moved["data"]["firm"] == "Strict"
    assert (await service.client.patch(one, {"data": {"discount": None}})).status_code == 422
    back = await world.patch(deal, company=mild["id"], discount=None)
    assert (back["data"]["firm"], "discount" in back["data"]) == ("Mild", False)
