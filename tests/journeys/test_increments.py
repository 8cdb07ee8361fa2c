import asyncio

import pytest

from tests.journeys.crm import make_pipeline, make_record, number, told
from tests.support.platform import Tenant, client

pytestmark = pytest.mark.journey


async def test_five_writers_lose_no_increment(tenant: Tenant) -> None:
    """Five writers make a hundred increments each at the same time, and the field ends at exactly 500."""
    pipeline = await make_pipeline(tenant.client, "Counters", number("count"))
    record = await make_record(tenant.client, pipeline, {"count": 0})
    path = f"/pipelines/{pipeline['id']}/records/{record['id']}"

    async def writer() -> None:
        async with client(str(tenant.client.base_url).removesuffix("/api/v1/"), tenant.access_token) as api:
            for _ in range(100):
                told(await api.post(f"{path}/increment", json={"field": "count", "by": 1}))

    await asyncio.gather(*(writer() for _ in range(5)))

    assert told(await tenant.client.get(path))["data"] == {"count": 500}
