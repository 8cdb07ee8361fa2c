"""Records that look alike are found, made one, and parted again as they were."""

import base64
from typing import Any
from uuid import UUID

import asyncpg

from libs.common.permissions import Grant
from services.records.storage import merging
from tests.records.support import Service

FIELDS: list[dict[str, Any]] = [
    {"name": "name", "type": "text"},
    {"name": "email", "type": "email", "unique": True},
    {"name": "phone", "type": "phone"},
    {"name": "note", "type": "text"},
]


async def groups(service: Service, pipeline: UUID, query: str = "", client: Any = None) -> list[tuple[str, str, int]]:
    """Field, value and size of each group of duplicates."""
    response = await (client or service.client).get(f"/pipelines/{pipeline}/duplicates{query}")
    assert response.status_code == 200, response.text
    return [(g["field"], g["value"], len(g["records"])) for g in response.json()["items"]]


async def test_records_that_look_alike_are_grouped(service: Service) -> None:
    """Titles alike but for case, accents and signs, and equal numbers, are groups; pages follow each other."""
    pipeline = service.pipeline(*FIELDS)
    made = [
        await service.client.create(pipeline, {"name": name, "phone": phone})
        for name, phone in (("José  Díaz", "+49301234567"), ("jose-diaz", "+49301234568"), ("Ann", "+49301234567"))
    ]
    assert await groups(service, pipeline) == [("title", "jose diaz", 2), ("phone", "+49301234567", 2)]
    assert await groups(service, pipeline, "?by=phone") == [("phone", "+49301234567", 2)]
    first = (await service.client.get(f"/pipelines/{pipeline}/duplicates?limit=1")).json()
    assert len(first["items"]) == 1
    assert await groups(service, pipeline, f"?limit=1&cursor={first['next_cursor']}") == [("phone", "+49301234567", 2)]
    await service.client.patch(f"/pipelines/{pipeline}/records/{made[1]['id']}", {"data": {"name": "Somebody else"}})
    await service.client.delete(f"/pipelines/{pipeline}/records/{made[2]['id']}")
    assert await groups(service, pipeline) == []
    unknown = await service.client.get(f"/pipelines/{pipeline}/duplicates?by=nothing")
    assert (unknown.status_code, "but by title" in unknown.json()["errors"][0]["detail"]) == (422, True)


async def test_hidden_fields_make_no_groups(service: Service) -> None:
    """Who may not read a field does not learn that records share it, nor of records that are not theirs to see."""
    pipeline = service.pipeline(*FIELDS)
    for name in ("a", "b"):
        await service.client.create(pipeline, {"name": name, "phone": "+49301234567", "note": name})
    blind = service.principal(Grant("records", ("read",), readable_fields=frozenset(("name",))))
    assert await groups(service, pipeline, client=blind) == []
    assert (await blind.get(f"/pipelines/{pipeline}/duplicates?by=phone")).status_code == 422
    one = service.principal(Grant("records", ("read",), row_rule={"field": "note", "op": "eq", "value": "a"}))
    assert await groups(service, pipeline, client=one) == []


async def test_a_cursor_tells_no_hidden_value(service: Service) -> None:
    """Where a page ends among values that the caller may not see, its cursor leads on without telling them."""
    pipeline = service.pipeline(*FIELDS)
    shared = [f"+4930{number:07}" for number in range(30)]
    for phone in shared:
        for name in ("a", "b"):
            await service.client.create(pipeline, {"name": name, "phone": phone, "note": "secret"})
    for name in ("a", "b"):
        await service.client.create(pipeline, {"name": name, "phone": "+49999999999", "note": "mine"})
    one = service.principal(Grant("records", ("read",), row_rule={"field": "note", "op": "eq", "value": "mine"}))
    cursor, found = "", []
    for _ in range(10):
        page = (await one.get(f"/pipelines/{pipeline}/duplicates?by=phone&limit=1{cursor}")).json()
        found += [group["value"] for group in page["items"]]
        if page["next_cursor"] is None:
            break
        told = base64.urlsafe_b64decode(page["next_cursor"] + "==").decode()
        assert not [phone for phone in shared if phone in told]
        cursor = f"&cursor={page['next_cursor']}"
    assert found == ["+49999999999"]


async def test_a_merge_takes_files_over_that_others_brought(service: Service) -> None:
    """A file that somebody else brought for a source is the target's once they are merged, and the source's again."""
    pipeline = service.pipeline({"name": "name", "type": "text"}, {"name": "paper", "type": "file"})
    brought = await service.client.post(f"/pipelines/{pipeline}/files", params={"field": "paper"}, content=b"text")
    target = await service.client.create(pipeline, {"name": "a"})
    source = await service.client.create(pipeline, {"name": "a", "paper": brought.json()["id"]})
    other = service.principal(Grant("records", ("*",)))
    merged = await other.post("/records/merge", json={"target": target["id"], "sources": [source["id"]]})
    assert merged.status_code == 200, merged.text
    shown = (await other.get(f"/pipelines/{pipeline}/records/{target['id']}")).json()
    assert shown["data"]["paper"] == brought.json()["id"]
    undone = await other.post(f"/records/merges/{merged.json()['id']}/undo")
    assert undone.status_code == 200, undone.text
    back = (await other.get(f"/pipelines/{pipeline}/records/{source['id']}")).json()
    assert back["data"]["paper"] == brought.json()["id"]


async def test_merging_moves_everything_and_undoing_brings_it_back(service: Service) -> None:
    """A merge fills gaps, moves relationships and holders, trashes the sources, and is undone exactly."""
    pipeline = service.pipeline(*FIELDS)
    relation = {"name": "contact", "type": "relation", "target_pipeline": str(pipeline)}
    deals = service.pipeline({"name": "name", "type": "text"}, relation)
    service.definitions.type("knows")
    target = await service.client.create(pipeline, {"name": "Ann"})
    friend = await service.client.create(pipeline, {"name": "Friend"})
    link = {"target_pipeline": str(pipeline), "target_record": friend["id"], "relationship_type": "knows"}
    source = await service.client.create(
        pipeline, {"name": "Anne", "email": "ann@example.com", "note": "n"}, relationships=[link]
    )
    deal = await service.client.create(deals, {"name": "Big", "contact": source["id"]})
    body = {"target": target["id"], "sources": [source["id"]], "fields": {"name": source["id"]}}
    response = await service.client.post("/records/merge", body)
    assert response.status_code == 200, response.text
    merged = await _record(service, pipeline, target["id"])
    assert merged["data"] == {"name": "Anne", "email": "ann@example.com", "note": "n"}
    assert (await _record(service, deals, deal["id"]))["data"]["contact"] == target["id"]
    assert await _related(service, pipeline, target["id"]) == {friend["id"], deal["id"]}
    gone = await service.client.get(f"/pipelines/{pipeline}/records/{source['id']}")
    assert gone.status_code == 404
    undone = await service.client.post(f"/records/merges/{response.json()['id']}/undo")
    assert undone.status_code == 200, undone.text
    assert (await _record(service, pipeline, target["id"]))["data"] == {"name": "Ann"}
    back = await _record(service, pipeline, source["id"])
    assert back["data"] == {"name": "Anne", "email": "ann@example.com", "note": "n"}
    assert (await _record(service, deals, deal["id"]))["data"]["contact"] == source["id"]
    assert await _related(service, pipeline, target["id"]) == set()
    assert await _related(service, pipeline, source["id"]) == {friend["id"], deal["id"]}
    again = await service.client.post(f"/records/merges/{response.json()['id']}/undo")
    assert again.status_code == 409


async def test_an_undo_that_would_lose_something_is_refused(service: Service) -> None:
    """What was changed after the merge is told as a reason, and nothing is undone; other changes stay."""
    pipeline = service.pipeline(*FIELDS)
    target = await service.client.create(pipeline, {"name": "Ann"})
    source = await service.client.create(pipeline, {"name": "Anne", "email": "ann@example.com"})
    merged = await service.client.post("/records/merge", {"target": target["id"], "sources": [source["id"]]})
    path = f"/pipelines/{pipeline}/records/{target['id']}"
    await service.client.patch(path, {"data": {"note": "later"}})
    await service.client.patch(path, {"data": {"email": "other@example.com"}})
    undone = await service.client.post(f"/records/merges/{merged.json()['id']}/undo")
    assert undone.status_code == 409
    assert [fault["pointer"] for fault in undone.json()["errors"]] == ["/target/data/email"]
    await service.client.patch(path, {"data": {"email": "ann@example.com"}})
    assert (await service.client.post(f"/records/merges/{merged.json()['id']}/undo")).status_code == 409


async def test_merging_needs_rights_on_all(service: Service) -> None:
    """Without the right to delete, with a record twice, of another pipeline or unseen, nothing is merged."""
    pipeline = service.pipeline(*FIELDS)
    one, other = [await service.client.create(pipeline, {"name": name}) for name in ("a", "b")]
    body = {"target": one["id"], "sources": [other["id"]]}
    writer = service.principal(Grant("records", ("read", "update")))
    assert (await writer.post("/records/merge", body)).status_code == 403
    assert (await service.client.post("/records/merge", {**body, "sources": [one["id"]]})).status_code == 422
    assert (await service.client.post("/records/merge", {**body, "sources": []})).status_code == 422
    elsewhere = await service.client.create(service.pipeline(*FIELDS), {"name": "c"})
    assert (await service.client.post("/records/merge", {**body, "sources": [elsewhere["id"]]})).status_code == 404
    stranger = service.principal(Grant("records", ("update", "delete")))
    assert (await stranger.post("/records/merge", body)).status_code == 404


async def test_duplicates_are_index_work(service: Service) -> None:
    """Groups can be had from the index in its order: nothing need be sorted, and no table scanned."""
    connection = await asyncpg.connect(service.database.dsn("records"))
    try:
        await connection.execute("select set_config('app.tenant_id', $1, false)", str(service.tenant_id))
        await connection.execute("set enable_seqscan = off; set enable_sort = off; set enable_bitmapscan = off")
        text = merging.SQL["suspects"]
        for number, value in ((5, "10"), (4, "''"), (3, "''"), (2, "'01890000-0000-7000-8000-000000000000'")):
            text = text.replace(f"${number}", value)
        plan = await connection.fetch("explain " + text.replace("$1", f"'{service.tenant_id}'"))
    finally:
        await connection.close()
    lines = "\n".join(row[0] for row in plan)
    assert "match_keys_pkey" in lines
    assert "Sort" not in lines


async def _record(service: Service, pipeline: UUID, record_id: str) -> dict[str, Any]:
    response = await service.client.get(f"/pipelines/{pipeline}/records/{record_id}")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def _related(service: Service, pipeline: UUID, record_id: str) -> set[str]:
    page = (await service.client.get(f"/pipelines/{pipeline}/records/{record_id}/relationships")).json()
    ends = {edge[end]["id"] for edge in page["items"] for end in ("source", "target")}
    return ends - {record_id}
