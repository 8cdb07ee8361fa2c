import asyncio
from typing import Any

from libs.common.bus import Bus
from libs.common.events import decode
from libs.common.permissions import Grant
from services.pipelines.domain.views import ViewAnnouncement
from services.pipelines.usecases.views import HINTS
from tests.pipelines.conftest import NAME, Json, Service, announced, faults
from tests.support.waiting import eventually

STAGE = {"name": "stage", "type": "stage", "stages": [{"value": "new"}, {"value": "won"}]}
DUE = {"name": "due", "type": "date"}
READER = Grant("pipelines", ("read",))
VIEW: Json = {
    "name": "Open", "kind": "kanban", "filter": {"field": "stage", "op": "ne", "value": "won"}, "sort": "-due,name",
    "fields": ["name", "due"], "group_by": "stage",
}  # fmt: skip


async def test_a_view_is_kept(service: Service, bus: Bus) -> None:
    """It is made, read, changed under its own ETag and removed, and each step is announced; changes are hinted at."""
    hinted: list[tuple[int, bool]] = []

    async def hear(payload: bytes) -> None:
        event = decode(payload, ViewAnnouncement)
        hinted.append((event.data.version, event.data.deleted))

    bus.listen(HINTS, hear)
    await bus.client.flush()
    made = await service.create("Deals", NAME, STAGE, DUE)
    path = f"/pipelines/{made['id']}/views"
    answer = await service.client.post(path, json=VIEW)
    assert (answer.status_code, answer.headers["etag"]) == (201, '"1"')
    view = answer.json()
    one = f"{path}/{view['id']}"
    assert {name: view[name] for name in VIEW} == VIEW
    assert (await service.client.get(one)).json() == view
    stale = await service.client.patch(one, json={"name": "x"}, headers={"If-Match": '"9"'})
    assert stale.status_code == 412
    changed = await service.patch(one, {"filter": None, "visibility": "shared"}, **{"If-Match": '"1"'})
    assert (changed["filter"], changed["visibility"], changed["version"]) == (None, "shared", 2)
    assert (await service.client.get(path)).json()["items"] == [changed]
    assert (await service.client.delete(one)).status_code == 204
    assert (await service.client.get(one)).status_code == 404
    await eventually(lambda: asyncio.sleep(0, hinted == [(2, False), (3, True)]))
    told = (await announced(bus, 4))[1:]
    assert [(event.type, event.data["version"], event.data["deleted"]) for event in told] == [
        ("pipelines.view.created", 1, False), ("pipelines.view.updated", 2, False), ("pipelines.view.deleted", 3, True),
    ]  # fmt: skip


async def test_a_private_view_is_its_owners_alone(service: Service) -> None:
    """Others neither list nor read nor change it; a shared one they see, but change only with the pipeline."""
    made = await service.create("Deals", NAME, STAGE, DUE)
    path = f"/pipelines/{made['id']}/views"
    reader = service.user(READER)
    own = (await service.client.post(path, json=VIEW)).json()
    shared = (await service.client.post(path, json={**VIEW, "visibility": "shared"})).json()
    assert [view["id"] for view in (await service.client.get(path, headers=reader)).json()["items"]] == [shared["id"]]
    pages = [await service.client.get(f"{path}?limit=1&count=exact", **by) for by in ({}, {"headers": reader})]
    assert [page.json()["count"] for page in pages] == [2, 1]
    for one, expected in ((own, 404), (shared, 403)):
        for call in (
            service.client.patch(f"{path}/{one['id']}", json={"name": "x"}, headers=reader),
            service.client.delete(f"{path}/{one['id']}", headers=reader),
        ):
            assert (await call).status_code == expected
    assert (await service.client.post(path, json=VIEW, headers=reader)).status_code == 201
    assert (await service.client.post(path, json={**VIEW, "visibility": "shared"}, headers=reader)).status_code == 403


UNFIT: list[tuple[dict[str, Any], set[tuple[str, str]]]] = [
    ({"filter": {"field": "stage", "op": "gone", "value": 1}}, {("/filter/op", "unknown_operator")}),
    ({"sort": "wat", "fields": ["name", "wat"]}, {("/sort", "unknown_field"), ("/fields/1", "unknown_name")}),
    ({"group_by": None}, {("/group_by", "required")}),
    ({"group_by": "name"}, {("/group_by", "not_groupable")}),
    ({"kind": "calendar"}, {("/date_field", "required")}),
    ({"date_field": "name"}, {("/date_field", "not_a_date")}),
    ({"kind": "pie"}, {("/kind", "invalid_value")}),
]


async def test_a_view_fits_its_pipeline(service: Service) -> None:
    """Everything in a view that its pipeline does not have is a fault, all at once."""
    made = await service.create("Deals", NAME, STAGE, DUE)
    for body, expected in UNFIT:
        answer = await service.client.post(f"/pipelines/{made['id']}/views", json={**VIEW, **body})
        assert (answer.status_code, faults(answer.json())) == (422, expected), body
