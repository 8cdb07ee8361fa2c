"""Counts and sums over what may be seen."""

import msgspec

from libs.common.permissions import Grant
from services.records.usecases.tenants import Tenant
from tests.records.support import Service
from tests.support.waiting import eventually


async def test_groups_have_their_metrics(service: Service) -> None:
    """Records are grouped by a field and measured, within filter and permission."""
    pipeline = service.pipeline({"name": "stage", "type": "text"}, {"name": "amount", "type": "number"})
    rows = [("new", 1), ("new", 2), ("new", 9), ("won", 4), (None, None)]
    data = [{"stage": stage, "amount": amount} for stage, amount in rows]
    await service.client.batch(pipeline, [{"op": "create", "data": one} for one in data])
    path = f"/pipelines/{pipeline}/records/aggregate"
    metrics = "metrics=count,sum:amount,avg:amount,min:amount,max:amount,p50:amount"
    answer = await service.client.get(f"{path}?group_by=stage&{metrics}")
    assert answer.json()["items"][0] == {
        "group": {"stage": "new"},
        "metrics": {"count": 3, "sum:amount": 12, "avg:amount": 4, "min:amount": 1, "max:amount": 9, "p50:amount": 2},
    }
    assert {item["group"]["stage"] for item in answer.json()["items"]} == {"new", "won", None}
    total = await service.client.get(f"{path}?metrics=count,sum:amount&filter[amount][gte]=2")
    assert total.json()["items"] == [{"group": {}, "metrics": {"count": 3, "sum:amount": 15}}]
    priced = service.pipeline({"name": "price", "type": "currency"})
    for amount, currency in (("0.10", "EUR"), ("0.20", "EUR"), ("5", "USD")):
        await service.client.create(priced, {"price": {"amount": amount, "currency": currency}})
    by_currency = "group_by=price.currency&metrics=sum:price,max:price.amount"
    of_prices = await service.client.get(f"/pipelines/{priced}/records/aggregate?{by_currency}")
    assert [item["metrics"]["sum:price"] for item in of_prices.json()["items"]] == [0.3, 5]
    assert of_prices.json()["items"][1]["group"] == {"price.currency": "USD"}
    ruled = service.principal(Grant("records", ("read",), row_rule={"field": "stage", "op": "eq", "value": "won"}))
    assert (await ruled.get(path)).json()["items"] == [{"group": {}, "metrics": {"count": 1}}]
    masked = service.principal(Grant("records", ("read",), readable_fields=frozenset({"stage"})))
    assert (await masked.get(f"{path}?metrics=sum:amount")).status_code == 422


async def test_times_are_grouped_by_day_week_and_month(service: Service) -> None:
    """Days begin as they do in the time zone that is asked for, or else the organization's, as they do for filters."""
    fields = (
        {"name": "won_at", "type": "datetime"},
        {"name": "due", "type": "date"},
        {"name": "amount", "type": "number"},
    )
    pipeline = service.pipeline(*fields)
    rows: list[tuple[str | None, str | None]] = [
        ("2026-01-31T22:30:00Z", "2026-02-02"), ("2026-01-31T23:30:00Z", "2026-02-03"), ("2026-02-10T00:00:00Z", None),
    ]  # fmt: skip
    for won_at, due in rows:
        await service.client.create(pipeline, {"won_at": won_at, "due": due, "amount": 2})
    path = f"/pipelines/{pipeline}/records/aggregate"

    async def groups(group_by: str, **params: str) -> list[tuple[object, int]]:
        answer = await service.client.get(path, params={"group_by": group_by, "metrics": "sum:amount", **params})
        assert answer.status_code == 200, answer.text
        return [(item["group"][group_by], item["metrics"]["sum:amount"]) for item in answer.json()["items"]]

    assert await groups("won_at:month") == [("2026-01-01", 4), ("2026-02-01", 2)]
    assert await groups("won_at:month", time_zone="Europe/Berlin") == [("2026-01-01", 2), ("2026-02-01", 4)]
    assert await groups("won_at:day", time_zone="Asia/Kolkata") == [("2026-02-01", 4), ("2026-02-10", 2)]
    assert await groups("due:week") == [("2026-02-02", 4), (None, 2)]
    assert [amount for _, amount in await groups("created_at:day")] == [6]
    tenant = msgspec.structs.replace(Tenant(service.tenant_id), time_zone="Europe/Berlin")
    await service.definitions.announce(service.tenant_id, "auth.tenant.updated", service.tenant_id, tenant)

    async def at_home() -> bool:
        return await groups("won_at:month") == [("2026-01-01", 2), ("2026-02-01", 4)]

    await eventually(at_home)
    days = {"2026-01-31": 1, "2026-02-01": 1, "2026-02-10": 1}
    for day, count in days.items():
        listed = await service.client.get(f"/pipelines/{pipeline}/records", params={"filter[won_at]": day})
        assert len(listed.json()["items"]) == count
    for params in ({"group_by": "amount:day"}, {"group_by": "due:hour"}, {"group_by": "due:day", "time_zone": "Mars"}):
        assert (await service.client.get(path, params=params)).status_code == 422
