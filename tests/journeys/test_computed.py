"""Computed fields come to pipelines that have records, while others write them: two services, real servers."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from ops.embedded import free_port
from services.records.settings import Settings
from tests.journeys.test_schema import Both, both, serving
from tests.support.waiting import eventually

__all__ = ["both"]

Json = dict[str, Any]
AMOUNT = {"name": "amount", "type": "number"}
ROOT = Path(__file__).parents[2]
BEGUN = "select exists (select from records.jobs where kind = 'schema' and checkpoint->'fenced' = 'true')"
DONE = "select exists (select from records.jobs where kind = 'schema' and done = $1)"
COMPUTED = "select count(*) from records.records where pipeline_id = $1 and data ? 'net'"


@contextmanager
def killable(settings: Settings) -> Iterator["subprocess.Popen[bytes]"]:
    """The records service in a process of its own, which does jobs."""
    given = {**msgspec.structs.asdict(settings), "job_concurrency": 1, "port": free_port()}
    told = {name.upper(): str(value) for name, value in given.items() if value is not None and value is not False}
    command = [sys.executable, "-m", "services.records.main"]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **told}, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


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


async def test_what_is_looked_at_is_renamed_while_others_write(both: Both) -> None:
    """A rename is followed by lookups, rollups and their filters elsewhere, and taken back by a rollback; whoever
    writes meanwhile, by either name, what is computed ends as it is when computed from scratch.
    """
    companies, company, deals, ids = await world(both, 40)
    rolled = {"type": "rollup", "relation": "inverse_of_belongs_to"}
    big = {"name": "big", **rolled, "function": "count", "filter": {"field": "amount", "op": "gt", "value": 3}}
    total = {"name": "total", **rolled, "function": "sum", "field": "amount"}
    await both.apply(companies, await both.plan(companies, fields=[total, big]))
    writing, refused, written = True, 0, 0

    async def write(start: int) -> None:
        nonlocal refused, written
        names, count = ["amount", "worth"], start
        while writing:
            body = {"data": {names[0]: count % 7}}
            at = f"/api/v1/pipelines/{deals}/records/{ids[count % len(ids)]}"
            answer = await both.records.patch(at, json=body, headers=both.headers)
            assert answer.status_code in (200, 409, 422, 503), answer.text
            if answer.status_code == 422:
                names.reverse()
                refused += 1
            elif answer.status_code == 200:
                written += 1
            count += 3

    async def busy() -> None:
        before = written
        await eventually(lambda: asyncio.sleep(0, written > before + 5))

    writers = [asyncio.create_task(write(start)) for start in (0, 1)]
    before = {it: (await both.call("GET", f"/pipelines/{it}"))["version"] for it in (companies, deals)}
    await both.apply(deals, await both.plan(deals, rename={"amount": "worth"}))
    await busy()
    job = await both.call("POST", f"/pipelines/{deals}/schema/rollback", {"version": before[deals]}, 202)
    await both.ended(job["id"])
    await both.settled(deals)
    await both.apply(deals, await both.plan(deals, rename={"amount": "worth"}))
    await busy()
    writing = False
    await asyncio.gather(*writers)
    assert refused > 0
    await both.settled(companies)

    async def right() -> bool:
        rows = (await both.call("GET", f"/pipelines/{deals}/records?limit=200"))["items"]
        worth = [it["data"].get("worth", 0) for it in rows]
        data = await both.data(companies, company)
        return bool((data["total"], data["big"]) == (sum(worth), sum(it > 3 for it in worth)))

    await eventually(right)
    fields = (await both.call("GET", f"/pipelines/{companies}"))["schema_definition"]["fields"]
    known = {it["name"]: it for it in fields}
    assert (known["total"]["field"], known["big"]["filter"]["field"]) == ("worth", "worth")
    at = f"/pipelines/{companies}/versions/{before[companies]}"
    past = {it["name"]: it for it in (await both.call("GET", at))["fields"]}
    assert past["total"]["field"] == "amount"
    job = await both.call("POST", f"/pipelines/{companies}/schema/rollback", {"version": before[companies]}, 202)
    await both.ended(job["id"])
    fields = (await both.call("GET", f"/pipelines/{companies}"))["schema_definition"]["fields"]
    assert {it["name"]: it for it in fields}["total"]["field"] == "worth"
    assert await right()


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
    await both.settled(deals)
    assert (await both.data(companies, company))["total"] == 6
    renamed = await both.plan(deals, rename={"amount": "worth"})
    await both.apply(deals, renamed)
    assert (await both.data(deals, ids[2]))["net"] == 3
    await both.call("PATCH", f"/pipelines/{deals}/records/{ids[2]}", {"data": {"worth": 5}})
    assert (await both.data(companies, company))["total"] == 9


@pytest.mark.parametrize("both", [0], indirect=True, ids=["no job of its own"])
async def test_a_killed_process_is_gone_on_from(both: Both) -> None:
    """When the process that computes gets SIGKILL in the middle, another goes on, and each record is computed once."""
    _, _, deals, ids = await world(both, 300)
    net = {"name": "net", "type": "formula", "expression": "amount * 2"}
    holder, watcher = [await asyncpg.connect(both.database.admin_dsn) for _ in range(2)]
    mark = f"{both.tenant}{deals}"
    await holder.execute("select pg_advisory_lock(hashtextextended($1, 11))", mark)
    held = holder.transaction()
    with killable(both.settings) as victim:
        await both.call("POST", f"/pipelines/{deals}/fields", net, 201)
        await eventually(lambda: watcher.fetchval(BEGUN))
        await held.start()
        await holder.execute("select from records.records where id = $1 for update", UUID(ids[-1]))
        await holder.execute("select pg_advisory_unlock(hashtextextended($1, 11))", mark)
        await eventually(lambda: watcher.fetchval(DONE, 299))
        victim.kill()
        victim.wait()
    await held.rollback()
    assert await watcher.fetchval(COMPUTED, UUID(deals)) == 299
    async with serving(msgspec.structs.replace(both.settings, job_concurrency=1)):
        await both.settled(deals)
    answer = await both.call("GET", f"/pipelines/{deals}/records/aggregate?metrics=count,sum:net,max:version")
    expected = {"count": 300, "sum:net": 2 * sum(range(300)), "max:version": 2}
    assert answer["items"][0]["metrics"] == expected
    await asyncio.gather(holder.close(), watcher.close())
