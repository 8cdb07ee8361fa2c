"""Lists by views: the server runs what the view keeps."""

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from libs.common.errors import NotFound
from libs.common.events import NewEvent, encode
from libs.common.ids import new_id
from libs.common.permissions import Grant
from services.records.domain.views import View
from services.records.usecases import catalog, remembered
from tests.records.support import Service
from tests.support.waiting import eventually

FIELDS = [
    {"name": "name", "type": "text"},
    {"name": "score", "type": "number"},
    {"name": "stage", "type": "select", "options": [{"value": "a"}, {"value": "b"}]},
]


class Question(msgspec.Struct):
    """Which view is asked for."""

    tenant_id: UUID
    view_id: UUID


async def scene(service: Service, **options: Any) -> tuple[str, View]:
    """A pipeline with three records, and a view of it that was announced."""
    pipeline = service.pipeline(*FIELDS)
    for name, score, stage in (("x", 1, "b"), ("y", 2, "a"), ("z", 3, "a")):
        await service.client.create(pipeline, {"name": name, "score": score, "stage": stage})
    owner = options.pop("owner_id", new_id())
    kept = View(new_id(), pipeline, 1, options.pop("visibility", "shared"), owner, **options)
    await service.definitions.announce(service.tenant_id, "pipelines.view.created", kept.id, kept)
    return f"/pipelines/{pipeline}/records", kept


async def heard(service: Service, path: str, view: View) -> None:
    """Returns when the service knows the view."""

    async def known() -> bool:
        return (await service.client.get(f"{path}?view={view.id}")).status_code == 200

    await eventually(known)


async def stored(service: Service, view: View) -> None:
    """Returns when the service keeps the view."""
    connection = await asyncpg.connect(service.database.admin_dsn)
    try:
        await eventually(
            lambda: connection.fetchval("select exists (select from records.views where id = $1)", view.id)
        )
    finally:
        await connection.close()


async def names(service: Service, path: str) -> list[str]:
    """The names on a page."""
    answer = await service.client.get(path)
    assert answer.status_code == 200, answer.text
    return [item["data"]["name"] for item in answer.json()["items"]]


async def test_a_view_is_run(service: Service) -> None:
    """Its filter holds besides the request's, its groups come first in its order, and its fields are shown."""
    tree = {"field": "score", "op": "gte", "value": 1}
    path, view = await scene(service, filter=tree, sort="-score", group_by="stage", fields=("name", "gone"))
    await heard(service, path, view)
    page = (await service.client.get(f"{path}?view={view.id}&limit=2")).json()
    assert [item["data"] for item in page["items"]] == [{"name": "z"}, {"name": "y"}]
    assert await names(service, f"{path}?view={view.id}&limit=2&cursor={page['next_cursor']}") == ["x"]
    assert await names(service, f"{path}?view={view.id}&filter[score][lt]=3&sort=score") == ["x", "y"]
    assert (await service.client.get(f"{path}?view={view.id}&fields=score")).json()["items"][0]["data"] == {"score": 3}


async def test_a_view_shows_no_more_than_its_reader_may_see(service: Service) -> None:
    """A view that filters by a field hidden from its reader is refused, as the filter itself would be."""
    path, view = await scene(service, filter={"field": "score", "op": "gte", "value": 2}, fields=("name", "score"))
    await heard(service, path, view)
    reader = service.principal(Grant("records", ("read",), readable_fields=frozenset({"name"})))
    refused = await reader.get(f"{path}?view={view.id}")
    assert [(f["pointer"], f["code"]) for f in refused.json()["errors"]] == [("/view/filter/field", "unknown_field")]


async def test_only_views_that_exist_for_the_reader_are_run(service: Service) -> None:
    """A private view of someone else, one of another pipeline, one that is gone, and no id at all are alike."""
    path, private = await scene(service, visibility="private")
    other, shared = await scene(service)
    await heard(service, other, shared)
    known = {private.id: private}

    async def answer(question: Question) -> View:
        if question.view_id not in known:
            raise NotFound
        return known[question.view_id]

    service.bus.serve("rpc.pipelines.view", Question, answer)

    async def refused(text: object, path: str) -> bool:
        answer = await service.client.get(f"{path}?view={text}")
        codes = [fault["code"] for fault in answer.json().get("errors", ())]
        return (answer.status_code, codes) == (422, ["unknown_view"])

    for text, place in ((private.id, path), (shared.id, path), (new_id(), path), ("x", path), (shared.id, other)):
        await eventually(lambda text=text, place=place: refused(text, place))


async def test_nobody_waits_again_and_again_for_who_does_not_answer(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While pipelines hangs, lists are by the view as it was heard of, and not each of them waits for it first, also
    when it was heard of long ago.
    """
    path, view = await scene(service)
    await heard(service, path, view)
    await stored(service, view)
    monkeypatch.setattr(remembered, "REMEMBERED_SECONDS", 0.0)
    asked: list[UUID] = []
    never = asyncio.Event()

    async def hang(question: Question) -> View:
        asked.append(question.view_id)
        await never.wait()
        return view

    service.bus.serve("rpc.pipelines.view", Question, hang)

    async def again() -> bool:
        before = len(asked)
        return await names(service, f"{path}?view={view.id}") != [] and len(asked) > before

    await eventually(again)
    monkeypatch.setattr(catalog, "AWAY_SECONDS", 600.0)
    await eventually(again)
    before = len(asked)
    found = await asyncio.gather(*[names(service, f"{path}?view={view.id}") for _ in range(10)])
    assert found == [found[0]] * 10
    assert len(asked) == before
    never.set()


async def test_a_view_that_was_not_heard_of_is_asked_for(service: Service) -> None:
    """Who makes a view and lists by it at once gets what it says; then nobody is asked again, and a change is heard of
    by its hint.
    """
    pipeline = service.pipeline(*FIELDS)
    await service.client.create(pipeline, {"name": "x", "score": 1})
    view = View(new_id(), pipeline, 1, "shared", new_id(), filter={"field": "score", "value": 2})
    asked: list[UUID] = []

    async def answer(question: Question) -> View:
        asked.append(question.view_id)
        return view

    service.bus.serve("rpc.pipelines.view", Question, answer)
    path = f"/pipelines/{pipeline}/records"
    await heard(service, path, view)
    assert await asyncio.gather(*[names(service, f"{path}?view={view.id}") for _ in range(5)]) == [[]] * 5
    assert asked == [view.id]
    changed = msgspec.structs.replace(view, version=2, filter={"field": "score", "value": 1})
    told = [NewEvent("pipelines.view.updated", it.id, it) for it in (changed, view)]
    await service.bus.hint(remembered.HINTS, [encode(service.tenant_id, it)[2].encode() for it in told])

    async def follows() -> bool:
        return await names(service, f"{path}?view={view.id}") == ["x"]

    await eventually(follows)
    assert asked == [view.id]
