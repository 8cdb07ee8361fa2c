"""Several records at once, for those who judge changes by them."""

from typing import Any

import pytest

from libs.common.errors import TooLarge
from libs.common.ids import new_id
from libs.common.permissions import Grant
from services.records.consumers import looks
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


async def test_states_are_whole_records(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records of whatever pipelines are told as who sees all of them does, but for those in the trash, of other tenants
    and beyond what fits into a message.
    """
    field = {"name": "a", "type": "text"}
    pipelines = service.pipeline(field), service.pipeline(field)
    shown = [await service.client.create(pipeline, {"a": "x"}) for pipeline in pipelines]
    gone = await service.client.create(pipelines[0], {"a": "x"})
    await service.client.delete(f"/pipelines/{pipelines[0]}/records/{gone['id']}")
    ids = [it["id"] for it in (*shown, gone)] + [str(new_id())]

    async def ask(tenant_id: object, record_ids: list[str]) -> dict[str, Any]:
        question = {"tenant_id": tenant_id, "record_ids": record_ids}
        return await service.bus.request("rpc.records.states", question, dict[str, Any])

    paths = {it["id"]: f"/pipelines/{it['pipeline_id']}/records/{it['id']}" for it in shown}
    expected = {record_id: (await service.client.get(path)).json() for record_id, path in paths.items()}
    assert await ask(service.tenant_id, ids) == expected
    assert await ask(new_id(), ids) == {}
    with pytest.raises(TooLarge):
        await ask(service.tenant_id, [str(new_id())] * (looks.MAX_RECORDS + 1))
    monkeypatch.setattr(looks, "MAX_BYTES", 15)
    assert len(await ask(service.tenant_id, ids)) == 1
