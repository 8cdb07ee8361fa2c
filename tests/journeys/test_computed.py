"""Computed fields come to pipelines that have records, while others write them: two services, real servers."""

import asyncio
from typing import Any

from tests.journeys.test_schema import Both, both, serving
from tests.support.waiting import eventually

__all__ = ["both"]

Json = dict[str, Any]
AMOUNT = {"name": "amount", "type": "number"}


async def world(both: Both, deals: int) -> tuple[str, str, str, list[str]]:
    """Companies with one in it, deals, and ten of them that are the company's."""
    companies = await both.pipeline({"name": "vat", "type": "number"}, slug="companies")
    link = {"type": "relation", "target_pipeline": companies, "relationship_type": "belongs_to"}
    pipeline = await both.pipeline(AMOUNT, {"name": "company", **link}, slug="deals")
    (company,) = await both.fill(companies, [{"name": "Acme", "vat": 20}])
    rows = [{"name": str(i), "amount": i, "company": company} for i in range(deals)]
    return companies, company, pipeline, await both.fill(pipeline, rows)


async def test_a_chain_over_pipelines_comes_while_others_write(both: Both) -> None:
    """A formula, a rollup of it, a formula of that and a lookup back: each is right for all when its job is done."""
    companies, company, deals, ids = await world(both, 30)
    writing = True

    async def write() -> int:
        count = 0
        while writing:
            at = f"/pipelines/{deals}/records/{ids[count % len(ids)]}"
            await both.call("PATCH", at, {"data": {"amount": count % 7}})
            count += 1
        return count

    writer = asyncio.create_task(write())
    net = {"name": "net", "type": "formula", "expression": "amount * 2"}
    plan = await both.plan(deals, fields=[net])
    (change,) = plan["changes"]
    assert (change["kind"], change["records_affected"]) == ("field_added", 30)
    done = await both.apply(deals, plan)
    assert done["kind"] == "schema"
    total = {"name": "total", "type": "rollup", "relation": "inverse_of_belongs_to", "function": "sum", "field": "net"}
    gross = {"name": "gross", "type": "formula", "expression": "total * (1 + vat / 100)"}
    await both.apply(companies, await both.plan(companies, fields=[total, gross]))
    share = {"name": "of_all", "type": "lookup", "relation": "company", "field": "gross"}
    await both.call("POST", f"/pipelines/{deals}/fields", share, 201)
    await both.settled(deals)
    writing = False
    assert await writer > 0

    async def right() -> bool:
        rows = (await both.call("GET", f"/pipelines/{deals}/records?limit=200"))["items"]
        data = await both.data(companies, company)
        nets = [it["data"].get("amount", 0) * 2 for it in rows]
        every = all(it["data"].get("of_all") == data.get("gross") for it in rows)
        same = [it["data"].get("net") for it in rows] == nets
        return bool(data.get("total") == sum(nets) and abs(data["gross"] - sum(nets) * 1.2) < 1e-9 and every and same)

    await eventually(right)


async def test_a_changed_expression_is_followed_and_taken_back(both: Both) -> None:
    """Changing an expression computes all anew, and what looks at it; a rollback computes what was before."""
    companies, company, deals, ids = await world(both, 3)
    net = {"name": "net", "type": "formula", "expression": "amount + 1"}
    await both.call("POST", f"/pipelines/{deals}/fields", net, 201)
    await both.settled(deals)
    total = {"name": "total", "type": "rollup", "relation": "inverse_of_belongs_to", "function": "sum", "field": "net"}
    await both.call("POST", f"/pipelines/{companies}/fields", total, 201)
    await both.settled(companies)
    assert (await both.data(companies, company))["total"] == 6
    version = (await both.call("GET", f"/pipelines/{deals}"))["version"]
    await both.call("PATCH", f"/pipelines/{deals}/fields/net", {"expression": "amount * 10"})
    await both.settled(deals)
    assert (await both.data(deals, ids[2]))["net"] == 20
    assert (await both.data(companies, company))["total"] == 30
    job = await both.call("POST", f"/pipelines/{deals}/schema/rollback", {"version": version}, 202)
    await both.ended(job["id"])
    assert (await both.data(companies, company))["total"] == 6
    renamed = await both.plan(deals, rename={"amount": "worth"})
    await both.apply(deals, renamed)
    assert (await both.data(deals, ids[2]))["net"] == 3
    await both.call("PATCH", f"/pipelines/{deals}/records/{ids[2]}", {"data": {"worth": 5}})
    assert (await both.data(companies, company))["total"] == 9


async def test_a_crash_in_between_is_gone_on_from(both: Both) -> None:
    """When the process that computes ends in the middle, another goes on, and each record is computed."""
    companies, company, deals, _ = await world(both, 400)
    net = {"name": "net", "type": "formula", "expression": "amount * 2"}
    async with serving(both.settings) as other:
        assert (await other.get("/health")).status_code == 200
        await both.call("POST", f"/pipelines/{deals}/fields", net, 201)
    await both.settled(deals)
    answer = await both.call("GET", f"/pipelines/{deals}/records/aggregate?metrics=count,sum:net")
    assert str(2 * sum(range(400))) in str(answer)
    assert await both.data(companies, company)
