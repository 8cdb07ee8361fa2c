"""The demo loads once, however often it is loaded."""

import asyncio

import pytest

from millrace.client import Api
from ops.demo.crm import COMPANIES, DEALS, DEPARTMENTS, EMPLOYEES
from ops.demo.load import Loader
from ops.demo.people import NAMES
from ops.demo.world import COUNTRIES, borders
from tests.journeys.crm import Json, pages
from tests.support.platform import Platform, Tenant

pytestmark = pytest.mark.journey

SMALL = (COUNTRIES, COMPANIES, DEPARTMENTS, EMPLOYEES, DEALS)


async def test_a_second_load_changes_nothing(stack: Platform, tenant: Tenant) -> None:
    """What was loaded is recognized by its keys: same records, same versions, same people."""
    await _load(stack, tenant)
    once = await _everything(tenant)
    await _load(stack, tenant)
    assert await _everything(tenant) == once
    assert {slug: len(records) for slug, records in once.items()} == {
        dataset.slug: len(dataset.rows()) for dataset in SMALL
    }
    assert len(await pages(tenant.client, "/users")) == 1 + len(NAMES)


async def test_an_interrupted_load_goes_on(stack: Platform, tenant: Tenant) -> None:
    """A load that was cut off in the middle is completed by the next one, borders included."""
    await _load(stack, tenant, cut_at="Borders")
    await _load(stack, tenant)
    records = await _everything(tenant)
    assert {slug: len(found) for slug, found in records.items()} == {
        dataset.slug: len(dataset.rows()) for dataset in SMALL
    }
    codes = {record["id"]: record["data"]["code"] for record in records["countries"]}
    france = next(id_ for id_, code in codes.items() if code == "FR")
    neighbours = await pages(tenant.client, f"/records/{france}/traverse", path="borders")
    expected = {code for pair in borders() if "FR" in pair for code in pair} - {"FR"}
    assert {codes[record["id"]] for record in neighbours} == expected


async def _load(stack: Platform, tenant: Tenant, cut_at: str | None = None) -> None:
    cut = asyncio.Event()

    def report(what: str, done: int, total: int) -> None:
        if what == cut_at and done > total // 2:
            cut.set()

    async with Api(stack.url) as api:
        api.token = tenant.access_token
        loading = asyncio.create_task(Loader(api, report, SMALL).load())
        if cut_at:
            await asyncio.wait_for(cut.wait(), 60)
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)
        else:
            await loading


async def _everything(tenant: Tenant) -> dict[str, list[Json]]:
    pipelines = await pages(tenant.client, "/pipelines")
    return {
        item["slug"]: await pages(tenant.client, f"/pipelines/{item['id']}/records", limit=200) for item in pipelines
    }
