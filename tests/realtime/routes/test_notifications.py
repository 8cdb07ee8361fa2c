"""What people are told, and how they want it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from libs.common.errors import NotFound
from libs.common.ids import new_id
from libs.common.permissions import Grant
from services.realtime.settings import Settings
from tests.realtime.receiver import receiving
from tests.realtime.support import Node, World, claims, quiet, reader, running_node
from tests.support.waiting import eventually

Json = dict[str, Any]
FIELDS: tuple[Json, ...] = (
    {"name": "name", "type": "text"},
    {"name": "owner", "type": "user"},
    {"name": "team", "type": "user", "multiple": True},
    {"name": "notes", "type": "textarea"},
    {"name": "stage", "type": "stage"},
    {"name": "score", "type": "number"},
)


class Person:
    """Somebody who is told of things."""

    def __init__(self, node: Node, world: World, token: str) -> None:
        self.node = node
        self.world = world
        self.token = token
        self.id: str = claims(token)["sub"]

    @asynccontextmanager
    async def api(self) -> AsyncIterator[httpx.AsyncClient]:
        """The person's client."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with httpx.AsyncClient(base_url=f"{self.node.url}/api/v1", headers=headers) as client:
            yield client

    async def get(self, path: str = "/notifications", **params: Any) -> Json:
        """What a read answers."""
        async with self.api() as api:
            return told(await api.get(path, params=params))

    async def prefer(self, **kinds: Json) -> Json:
        """Sets how kinds are told."""
        async with self.api() as api:
            return told(await api.put("/notifications/preferences", json={"kinds": kinds}))

    async def items(self, count: int) -> list[Json]:
        """What the person was told, oldest first, once it is so much."""

        async def enough() -> bool:
            return len((await self.get())["items"]) >= count

        await eventually(enough)
        items: list[Json] = (await self.get())["items"][::-1]
        return items


def told(answer: httpx.Response, status: int = 200) -> Json:
    assert answer.status_code == status, answer.text
    body: Json = answer.json()
    return body


async def join(node: Node, world: World, *grants: Grant, status: str = "active") -> Person:
    """A person whom auth has announced."""
    person = Person(node, world, world.token(*grants))
    user = {"id": person.id, "name": "Test", "email": "t@example.com", "status": status}
    await world.publish(world.tenant, "auth.user.created", person.id, {**user, "roles": claims(person.token)["roles"]})
    if status == "active":
        await person.prefer()
    return person


@pytest.fixture
async def ann(node: Node, world: World) -> Person:
    """Somebody who may do everything."""
    return await join(node, world)


async def test_who_is_assigned_is_told(ann: Person, world: World) -> None:
    """A field that names somebody tells them once, with the record and who did it; naming them again is no news."""
    pipeline = world.pipeline(*FIELDS)
    record = await world.create(pipeline, name="Deal", owner=ann.id)
    await world.update(record, {"team": [ann.id, str(new_id())]})
    await world.update(record, {"team": [ann.id]})
    await world.update(record, {"name": "Other"})
    await world.update(record, {"owner": None})
    await world.update(record, {"owner": ann.id})
    first, second, third = await ann.items(3)
    assert (first["kind"], first["title"], first["text"]) == ("assigned", "Deal", "Ada assigned you Deal.")
    assert (first["record_id"], first["data"]["field"]) == (record["id"], "owner")
    assert (second["data"]["field"], third["data"]["field"], third["title"]) == ("team", "owner", "Deal")


async def test_nothing_is_told_of_what_is_gone_for_good(ann: Person, world: World) -> None:
    """When a record was deleted for good, what people were told of it is gone too, and the rest stays."""
    pipeline = world.pipeline(*FIELDS)
    gone, kept = [await world.create(pipeline, name=name, owner=ann.id) for name in ("Gone", "Kept")]
    await ann.items(2)
    buried = {"id": gone["id"], "pipeline_id": str(pipeline)}
    await world.publish(world.tenant, "records.tombstone.created", gone["id"], buried)

    async def forgotten() -> bool:
        return [item["record_id"] for item in (await ann.get())["items"]] == [kept["id"]]

    await eventually(forgotten)


async def test_who_is_mentioned_is_told(ann: Person, world: World) -> None:
    """A mention in a text tells the person whom it names, and the same mention no second time."""
    pipeline = world.pipeline(*FIELDS)
    text = f"See @[Ann](user:{ann.id})"
    record = await world.create(pipeline, name="Deal", notes=text)
    await world.update(record, {"notes": f"{text}, please"})
    other = await world.create(pipeline, name="Other", notes=f"@[x](user:{new_id()})")
    await world.update(other, {"notes": f"And @[Ann](user:{ann.id})!"})
    assert [(it["kind"], it["title"]) for it in await ann.items(2)] == [("mentioned", "Deal"), ("mentioned", "Other")]


async def test_stages_are_told_to_those_whose_record_it_is(ann: Person, world: World) -> None:
    """A record's next stage is told to whom its fields name and to who follows it, but not to who moved it."""
    pipeline = world.pipeline(*FIELDS)
    mine = await world.create(pipeline, name="Mine", owner=ann.id, stage="new")
    followed = await world.create(pipeline, name="Followed", stage="new")
    other = await world.create(pipeline, name="Other", stage="new")
    async with ann.api() as api:
        told(await api.post("/notifications/follows", json={"record_id": followed["id"]}), 201)
        assert [it["id"] for it in (await ann.get("/notifications/follows"))["items"]] == [followed["id"]]
    for record in (mine, followed, other):
        await world.update(record, {"stage": "won"})
    await world.update(mine, {"stage": "lost"}, actor={"id": ann.id, "kind": "user", "name": "Ann"})
    found = await ann.items(3)
    assert [(it["kind"], it["title"]) for it in found] == [
        ("assigned", "Mine"), ("stage_changed", "Mine"), ("stage_changed", "Followed")
    ]  # fmt: skip
    assert found[1]["text"] == "Ada moved Mine to won."
    async with ann.api() as api:
        assert (await api.delete(f"/notifications/follows/{followed['id']}")).status_code == 204
        assert (await api.delete(f"/notifications/follows/{followed['id']}")).status_code == 404


async def test_what_comes_into_a_followed_view_is_told(ann: Person, world: World) -> None:
    """A record that begins to pass a followed view's filter is told of; a changed view filters anew, a deleted ends."""
    pipeline = world.pipeline(*FIELDS)
    view: Json = {
        "id": str(new_id()), "name": "Big", "pipeline_id": str(pipeline), "version": 1, "visibility": "shared",
        "owner_id": str(new_id()), "filter": {"field": "score", "op": "gte", "value": 50}, "deleted": False,
    }  # fmt: skip

    async def answer(question: Json) -> Json:
        if question["view_id"] != view["id"]:
            raise NotFound
        return view

    world.bus.serve("rpc.pipelines.view", Json, answer)
    await world.bus.client.flush()
    async with ann.api() as api:
        assert (await api.post("/notifications/follows", json={"view_id": str(new_id())})).status_code == 404
        told(await api.post("/notifications/follows", json={"view_id": view["id"]}), 201)
        view["visibility"] = "private"
        assert (await api.post("/notifications/follows", json={"view_id": view["id"]})).status_code == 404
        view["visibility"] = "shared"
    record = await world.create(pipeline, name="Deal", score=1)
    for score in (60, 70):
        await world.update(record, {"score": score})
    (first,) = await ann.items(1)
    assert (first["kind"], first["text"]) == ("view_entered", "Deal is now in the view Big.")
    renamed = {**view, "name": "Huge", "filter": {"field": "score", "op": "gte", "value": 90}}
    await world.publish(world.tenant, "pipelines.view.updated", view["id"], renamed)

    async def follows(names: list[str]) -> bool:
        return [it["name"] for it in (await ann.get("/notifications/follows"))["items"]] == names

    await eventually(lambda: follows(["Huge"]))
    await world.update(record, {"score": 95})
    assert (await ann.items(2))[1]["text"] == "Deal is now in the view Huge."
    await world.publish(world.tenant, "pipelines.view.deleted", view["id"], {**renamed, "deleted": True})
    await eventually(lambda: follows([]))


async def test_nobody_is_told_of_what_they_may_not_read(node: Node, world: World, ann: Person) -> None:
    """A record out of sight, a hidden field, a deactivated person or another tenant's: nothing is told."""
    pipeline = world.pipeline(*FIELDS)
    low = {"field": "score", "op": "lt", "value": 10}
    blind = await join(node, world, reader(readable_fields=frozenset({"name"})))
    narrow = await join(node, world, reader(row_rule=low, readable_fields=frozenset({"owner", "team", "score"})))
    away = await join(node, world, status="deactivated")
    team = [blind.id, narrow.id, away.id, ann.id]
    await world.create(pipeline, name="high", score=50, team=team)
    low_one = await world.create(pipeline, name="low", score=1, team=team)
    other = new_id()
    theirs = world.pipeline(*FIELDS, tenant=other)
    await world.create(theirs, tenant=other, name="theirs", owner=ann.id)
    await ann.items(2)
    (shown,) = await narrow.items(1)
    assert (shown["record_id"], shown["title"]) == (low_one["id"], "")
    assert (await blind.get())["items"] == []
    assert [it["title"] for it in await ann.items(2)] == ["high", "low"]


async def test_reading_and_counting(ann: Person, world: World) -> None:
    """What was read is counted no more, one by one or all up to one; pages go from the newest to the oldest."""
    pipeline = world.pipeline(*FIELDS)
    for number in range(5):
        await world.create(pipeline, name=str(number), owner=ann.id)
    items = await ann.items(5)
    first = await ann.get(limit=3)
    assert [it["title"] for it in first["items"]] == ["4", "3", "2"]
    rest = await ann.get(limit=3, cursor=first["next_cursor"])
    assert ([it["title"] for it in rest["items"]], rest["next_cursor"], rest["unread"]) == (["1", "0"], None, 5)
    async with ann.api() as api:
        assert told(await api.post("/notifications/read", json={"ids": [items[4]["id"]]})) == {"unread": 4}
        assert told(await api.post("/notifications/read", json={"until": items[2]["id"]})) == {"unread": 1}
    assert [it["title"] for it in (await ann.get(unread=True))["items"]] == ["3"]
    assert "count" not in first
    counts = [(await ann.get(count="exact", unread=unread, limit=1))["count"] for unread in (False, True)]
    assert counts == [5, 1]


async def test_sockets_hear_at_once_on_every_node(ann: Person, world: World, settings: Settings, node: Node) -> None:
    """A notification and the progress of one's own job come on the channel `user`, on any node, to nobody else."""
    stranger = await join(node, world)
    async with running_node(settings) as other, other.live(ann.token) as live, node.live(stranger.token) as theirs:
        await live.subscribe("user")
        await theirs.subscribe("user")
        await world.create(world.pipeline(*FIELDS), name="Deal", owner=ann.id)
        frame = await live.expect("notification")
        assert (frame["channel"], frame["notification"]["text"]) == ("user", "Ada assigned you Deal.")
        assert frame["notification"] == (await ann.items(1))[0]
        job = {"id": str(new_id()), "kind": "import", "state": "running", "created_by": ann.id}
        await world.publish(world.tenant, "records.job.updated", job["id"], job)
        assert (await live.expect("job_updated"))["job"] == job
        assert await quiet(theirs) == []


async def test_preferences_are_kept(ann: Person, world: World) -> None:
    """A kind may be silent, and wrong preferences are told by their place."""
    wanted = await ann.prefer(assigned={"in_app": False, "mail": False})
    assert wanted["kinds"]["assigned"] == {"in_app": False, "mail": False, "digest": "off"}
    assert wanted["kinds"]["mentioned"]["mail"] is True
    assert await ann.get("/notifications/preferences") == wanted
    await world.create(world.pipeline(*FIELDS), name="Deal", owner=ann.id, notes=f"@[A](user:{ann.id})")
    assert [it["kind"] for it in await ann.items(1)] == ["mentioned"]
    async with ann.api() as api:
        body = {"time_zone": "Mars/Base", "digest_hour": 24}
        faults = told(await api.put("/notifications/preferences", json=body), 422)["errors"]
        assert [fault["pointer"] for fault in faults] == ["/time_zone", "/digest_hour"]
        assert (await api.put("/notifications/preferences", json={"kinds": {"x": {}}})).status_code == 422


async def heard(world: World, subject: str) -> list[Json]:
    """What is announced from now on."""
    found: list[Json] = []

    async def hear(payload: bytes) -> None:
        found.append(msgspec.json.decode(payload)["data"])

    world.bus.listen(f"evt.{world.tenant}.{subject}", hear)
    await world.bus.client.flush()
    return found


async def test_a_mail_is_asked_for_and_its_link_ends_them(ann: Person, world: World, node: Node) -> None:
    """An assignment asks for a mail, whose link ends that kind's mails by one click; no other link does."""
    mails = await heard(world, "realtime.notification.mail_due")
    pipeline = world.pipeline(*FIELDS)
    await world.create(pipeline, name="Deal", owner=ann.id)
    await eventually(lambda: _some(mails, 1))
    assert (mails[0]["user_id"], mails[0]["subject"]) == (ann.id, "Ada assigned you Deal.")
    path, token = f"{node.url}/api/v1/notifications/unsubscribe", mails[0]["unsubscribe"]
    async with httpx.AsyncClient(params={"token": token}) as anyone:
        assert "<button>" in (await anyone.get(path)).text
        assert (await ann.get("/notifications/preferences"))["kinds"]["assigned"]["mail"] is True
        answer = await anyone.post(path, data={"List-Unsubscribe": "One-Click"})
        assert answer.status_code == 200, answer.text
    kinds = (await ann.get("/notifications/preferences"))["kinds"]
    assert (kinds["assigned"]["mail"], kinds["mentioned"]["mail"]) == (False, True)
    async with httpx.AsyncClient() as anyone:
        for bad in ("", "x", token[:-2] + "AA", "A" * 100):
            assert (await anyone.post(path, params={"token": bad})).status_code == 401
    await world.create(pipeline, name="Next", owner=ann.id)
    await ann.items(2)
    assert len(mails) == 1


async def _some(found: list[Json], count: int) -> bool:
    return len(found) >= count


async def test_a_digest_collects(world: World, settings: Settings) -> None:
    """What is due in a digest comes as one mail when its hour has come, and once."""
    mails = []
    async with running_node(msgspec.structs.replace(settings, digest_poll_seconds=0.05)) as node:
        ann = await join(node, world)
        mails = await heard(world, "realtime.notification.mail_due")
        await ann.prefer(assigned={"mail": True, "digest": "daily"}, mentioned={"mail": True, "digest": "daily"})
        pipeline = world.pipeline(*FIELDS)
        for name in ("One", "Two"):
            await world.create(pipeline, name=name, owner=ann.id)
        await ann.items(2)
        connection = await asyncpg.connect(settings.database_url)
        await connection.execute("select set_config('app.tenant_id', $1, false)", str(world.tenant))
        assert mails == []
        await connection.execute("update digests set next_at = now()")
        await eventually(lambda: _some(mails, 1))
        assert mails[0]["subject"] == "2 notifications"
        assert mails[0]["lines"] == ["Ada assigned you One.", "Ada assigned you Two."]
        assert await connection.fetchval("select next_at > now() + interval '1 minute' from digests")
        await connection.execute("update digests set next_at = now()")

        async def passed() -> bool:
            return bool(await connection.fetchval("select next_at > now() from digests"))

        await eventually(passed)
        await connection.close()
        await world.bus.client.flush()
    assert len(mails) == 1


async def test_many_mails_become_one(
    ann: Person, world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond so many mails in an hour the rest waits for one that tells of all."""
    monkeypatch.setattr("services.realtime.usecases.noticing.MAX_MAILS_PER_HOUR", 2)
    mails = await heard(world, "realtime.notification.mail_due")
    pipeline = world.pipeline(*FIELDS)
    for number in range(5):
        await world.create(pipeline, name=str(number), owner=ann.id)
    await ann.items(5)
    async with running_node(msgspec.structs.replace(settings, digest_poll_seconds=0.05)):
        connection = await asyncpg.connect(settings.database_url)
        await connection.execute("select set_config('app.tenant_id', $1, false)", str(world.tenant))
        assert await connection.fetchval("select next_at < now() + interval '25 hours' from digests")
        await connection.execute("update digests set next_at = now()")
        await connection.close()
        await eventually(lambda: _some(mails, 3))
    assert [mail["subject"] for mail in mails] == ["Ada assigned you 0.", "Ada assigned you 1.", "3 notifications"]


async def test_what_is_read_twice_is_told_once(ann: Person, world: World, settings: Settings) -> None:
    """A process that reads the stream anew tells nobody again."""
    pipeline = world.pipeline(*FIELDS)
    await world.create(pipeline, name="One", owner=ann.id)
    await ann.items(1)
    connection = await asyncpg.connect(settings.database_url)
    await connection.execute("update positions set position = 0")
    await connection.close()
    async with running_node(settings) as other:
        ann.node.server.should_exit = True
        ann.node = other
        await world.create(pipeline, name="Two", owner=ann.id)
        assert [it["title"] for it in await ann.items(2)] == ["One", "Two"]


async def test_the_owner_of_a_disabled_webhook_is_told(ann: Person, world: World) -> None:
    """A webhook that the platform disables tells its owner, by mail too."""
    mails = await heard(world, "realtime.notification.mail_due")
    async with receiving() as receiver, ann.api() as api:
        receiver.answer = lambda _: (410, {})
        told(await api.post("/webhooks", json={"url": receiver.url(), "events": ["*"]}), 201)
        await world.create(world.pipeline(), name="x")
        (notice,) = await ann.items(1)
    assert (notice["kind"], notice["data"]["reason"]) == ("webhook_disabled", "endpoint-gone")
    await eventually(lambda: _some(mails, 1))


async def test_only_people_are_notified(node: Node, world: World) -> None:
    """A key has no notifications."""
    machine = Person(node, world, world.token(kind="api_key"))
    async with machine.api() as api:
        assert told(await api.get("/notifications"), 403)["type"] == "/problems/people-only"
