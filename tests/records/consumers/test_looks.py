"""Several records at once, for those who judge changes by them."""

from typing import Any

from libs.common.ids import new_id
from libs.common.permissions import Grant
from tests.records.support import Service


async def test_several_records_are_told_as_their_asker_may_see_them(service: Service) -> None:
    """Of the records asked for those come that may be seen, each as GET answers it, of whatever pipelines."""
    field = {"name": "a", "type": "text"}
    one, other = service.pipeline(field), service.pipeline(field)
    shown = [await service.client.create(pipeline, {"a": "x"}) for pipeline in (one, other)]
    hidden = await service.client.create(one, {"a": "y"})
    gone = await service.client.create(one, {"a": "x"})
    await service.client.delete(f"/pipelines/{one}/records/{gone['id']}")
    rule = {"field": "a", "op": "eq", "value": "x"}
    headers = service.issuer.headers(service.tenant_id, Grant("records", ("read",), row_rule=rule))
    ids = [it["id"] for it in (*shown, hidden, gone)] + [str(new_id())]
    question = {"token": headers["Authorization"].removeprefix("Bearer "), "record_ids": ids}
    told = await service.bus.request("rpc.records.records", question, dict[str, Any])
    paths = {it["id"]: f"/pipelines/{it['pipeline_id']}/records/{it['id']}" for it in shown}
    assert told == {record_id: (await service.client.get(path)).json() for record_id, path in paths.items()}
