"""Fields that are edited as shared documents, and their texts."""

from typing import Any

import pytest

from libs.common.errors import Conflict, Forbidden, Invalid, NotFound
from libs.common.ids import new_id
from libs.common.permissions import Grant
from tests.records.support import Client, Service

FIELDS: list[dict[str, Any]] = [
    {"name": "notes", "type": "textarea", "collaborative": True},
    {"name": "a", "type": "text"},
]


async def start(service: Service) -> tuple[str, str]:
    """A record and its path."""
    pipeline = service.pipeline(*FIELDS)
    made = await service.client.create(pipeline, {"notes": "Hello", "a": "x"})
    return made["id"], f"/pipelines/{pipeline}/records/{made['id']}"


async def opened(service: Service, client: Client, record_id: str, field: str = "notes") -> dict[str, Any]:
    """The field as a client may open it."""
    token = client.headers["Authorization"].removeprefix("Bearer ")
    question = {"token": token, "record_id": record_id, "field": field}
    return await service.bus.request("rpc.records.document", question, dict[str, Any], seconds=20)


async def write(service: Service, record_id: str, seq: int, text: str, role: Any, **more: Any) -> str:
    """What becomes of a text."""
    by = {"id": str(new_id()), "kind": "user", "name": "Ada", "roles": [str(role)], **more}
    question = {
        "tenant_id": service.tenant_id, "by": by, "record_id": record_id, "field": "notes", "seq": seq, "text": text
    }  # fmt: skip
    answer = await service.bus.request("rpc.records.write_document", question, dict[str, str], seconds=20)
    return answer["state"]


async def test_who_may_open_a_document(service: Service) -> None:
    """A reader may read, a writer write; a field that is hidden, or not edited together, cannot be opened."""
    record_id, _ = await start(service)
    assert await opened(service, service.client, record_id) | {"pipeline_id": ""} == {
        "pipeline_id": "", "text": "Hello", "writable": True, "ruled": False
    }  # fmt: skip
    read = service.principal(Grant("records", ("read",)))
    assert (await opened(service, read, record_id))["writable"] is False
    rule = {"field": "a", "op": "eq", "value": "x"}
    assert (await opened(service, service.principal(Grant("records", ("read",), row_rule=rule)), record_id))["ruled"]
    blind = service.principal(Grant("records", ("read",), readable_fields=frozenset({"a"})))
    with pytest.raises(Forbidden):
        await opened(service, blind, record_id)
    with pytest.raises(Conflict) as caught:
        await opened(service, service.client, record_id, "a")
    assert caught.value.code == "not-collaborative"
    with pytest.raises(NotFound):
        await opened(service, service.client, str(new_id()))


async def test_a_text_is_written_once_and_never_an_older_one(service: Service) -> None:
    """A number is taken once, a lower one never; history names editor and who acted, the event the number."""
    record_id, path = await start(service)
    role = service.issuer.role(service.tenant_id)
    assert await write(service, record_id, 5, "Hello, world", role) == "written"
    assert await write(service, record_id, 5, "Hello, world", role) == "older"
    assert await write(service, record_id, 4, "Hell", role) == "older"
    assert await write(service, record_id, 7, "", role) == "written"
    shown = (await service.client.get(path)).json()
    assert (shown["version"], shown["data"]) == (3, {"a": "x"})
    lines = (await service.client.get(f"{path}/history")).json()["items"]
    assert [line["actor"]["name"] for line in lines[:2]] == ["Ada", "Ada"]
    support = {"sub": str(new_id()), "sid": str(new_id()), "name": "Sam Support"}
    assert await write(service, record_id, 8, "Help", role, actor=support) == "written"
    line = (await service.client.get(f"{path}/history")).json()["items"][0]
    assert (line["actor"]["name"], line["client"]["acting"]["name"]) == ("Ada", "Sam Support")


async def test_a_text_is_written_by_what_its_editor_may(service: Service) -> None:
    """An editor whose roles do not let the field be written (any more) writes nothing."""
    record_id, path = await start(service)
    role = service.issuer.role(service.tenant_id, [Grant("records", ("read",))])
    with pytest.raises(Forbidden):
        await write(service, record_id, 5, "Hello, world", role)
    assert (await service.client.get(path)).json()["version"] == 1


async def test_texts_of_records_that_are_away(service: Service) -> None:
    """Of a record in the trash the text waits, of one that is gone there is nothing to wait for."""
    record_id, path = await start(service)
    role = service.issuer.role(service.tenant_id)
    await service.client.delete(path)
    assert await write(service, record_id, 5, "x", role) == "trashed"
    await service.client.delete(f"{path}?permanent=true")
    assert await write(service, record_id, 5, "x", role) == "gone"


async def test_nobody_else_takes_a_documents_operations(service: Service) -> None:
    """A client's operation id cannot pass for a document's, and a field that is edited together cannot be locked."""
    record_id, _ = await start(service)
    token = service.everything["Authorization"].removeprefix("Bearer ")
    question = {
        "token": token,
        "record_id": record_id,
        "field": "notes",
        "value": "x",
        "operation_id": "document:notes:9",
    }
    with pytest.raises(Invalid):
        await service.bus.request("rpc.records.field_update", question, dict[str, Any], seconds=20)
    wanted = {"token": token, "record_id": record_id, "field": "notes", "connection": "c", "seconds": 5}
    with pytest.raises(Conflict):
        await service.bus.request("rpc.records.lock", wanted, dict[str, Any], seconds=20)
