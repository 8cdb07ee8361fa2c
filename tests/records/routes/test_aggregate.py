"""Counts and sums over what may be seen."""

from libs.common.permissions import Grant
from tests.records.support import Service


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
    ruled = service.principal(Grant("records", ("read",), row_rule={"field": "stage", "op": "eq", "value": "won"}))
    assert (await ruled.get(path)).json()["items"] == [{"group": {}, "metrics": {"count": 1}}]
    masked = service.principal(Grant("records", ("read",), readable_fields=frozenset({"stage"})))
    assert (await masked.get(f"{path}?metrics=sum:amount")).status_code == 422
