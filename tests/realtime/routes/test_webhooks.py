"""Webhooks as those see them who own them and those who receive."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import msgspec
import pytest
from standardwebhooks import WebhookVerificationError

from libs.common.events import STREAM
from libs.common.ids import new_id
from libs.common.permissions import Grant
from services.realtime.settings import Settings
from tests.realtime.receiver import Receiver, Taken, receiving
from tests.realtime.support import Node, World, claims, reader, running_node
from tests.support.waiting import eventually

Json = dict[str, Any]
HOOKS = Grant("webhooks", ("*",))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Where webhooks are sent."""
    async with receiving() as found:
        yield found


@asynccontextmanager
async def client(node: Node, token: str) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=f"{node.url}/api/v1", headers=headers) as found:
        yield found


@pytest.fixture
async def api(node: Node, world: World) -> AsyncIterator[httpx.AsyncClient]:
    """A client of one who may do everything."""
    async with client(node, world.token()) as found:
        yield found


def told(answer: httpx.Response, status: int = 200) -> Json:
    assert answer.status_code == status, answer.text
    body: Json = answer.json()
    return body


async def made(api: httpx.AsyncClient, url: str, **more: Any) -> Json:
    return told(await api.post("/webhooks", json={"url": url, "events": ["*"], **more}), 201)


async def log(api: httpx.AsyncClient, webhook: Json, **params: Any) -> list[Json]:
    items: list[Json] = told(await api.get(f"/webhooks/{webhook['id']}/deliveries", params=params))["items"]
    return items


async def finished(api: httpx.AsyncClient, webhook: Json, count: int) -> list[Json]:
    """The log, oldest first, once so many deliveries are finished."""

    async def done() -> bool:
        return len([it for it in await log(api, webhook) if it["finished_at"]]) >= count

    await eventually(done)
    return (await log(api, webhook))[::-1]


async def test_a_change_is_sent_signed(api: httpx.AsyncClient, world: World, receiver: Receiver) -> None:
    """The message says what happened, and the reference verifier accepts its signature, and no other secret's."""
    webhook = await made(api, receiver.url())
    record = await world.create(world.pipeline(), name="Ann", score=1.50)
    message = (await receiver.got(1))[0]
    said = message.verify(webhook["secret"])
    assert (said["type"], said["data"]["record"]["id"]) == ("record.created", record["id"])
    assert said["data"]["record"]["data"] == {"name": "Ann", "score": 1.5}
    assert said["data"]["actor"]["name"] == "Ada"
    assert message.headers["content-type"] == "application/json"
    other = await made(api, receiver.url("/other"))
    with pytest.raises(WebhookVerificationError):
        message.verify(other["secret"])
    (delivery,) = await finished(api, webhook, 1)
    assert (delivery["event_id"], delivery["state"], delivery["last_status"]) == (message.id, "succeeded", 200)
    (attempt,) = delivery["attempts"]
    assert (attempt["status"], attempt["error"], attempt["response"]) == (200, None, "answered 200")


async def test_the_secret_is_told_once_and_sealed(
    api: httpx.AsyncClient, receiver: Receiver, settings: Settings, tenant: UUID
) -> None:
    """Reads do not tell the secret, and the database does not hold it in clear."""
    webhook = await made(api, receiver.url(), description="Ours")
    assert webhook["secret"].startswith("whsec_")
    one = told(await api.get(f"/webhooks/{webhook['id']}"))
    assert {**one, "secret": webhook["secret"]} == webhook
    assert told(await api.get("/webhooks"))["items"] == [one]
    assert told(await api.get("/webhooks?count=exact"))["count"] == 1
    assert (await api.get("/webhooks?count=some")).status_code == 422
    connection = await asyncpg.connect(settings.database_url)
    await connection.execute("select set_config('app.tenant_id', $1, false)", str(tenant))
    sealed = await connection.fetchval("select secrets from webhooks")
    await connection.close()
    assert sealed
    assert webhook["secret"].encode() not in sealed


async def test_only_the_chosen_events_that_pass_the_filter_go(
    api: httpx.AsyncClient, world: World, receiver: Receiver
) -> None:
    """Events, pipeline and filter choose; a record that begins to pass has entered, and one that ceases has left."""
    pipeline = world.pipeline()
    high = {"field": "score", "op": "gte", "value": 50}
    await made(api, receiver.url(), pipeline_id=str(pipeline), filter=high)
    await made(api, receiver.url("/deleted"), events=["record.deleted"])
    await world.create(world.pipeline(), name="elsewhere", score=99)
    record = await world.create(pipeline, name="Ann", score=1)
    for score in (60, 70, 2):
        await world.update(record, {"score": score})
    await world.delete(record)
    taken = await receiver.got(3)
    kinds = [one.message["type"] for one in taken]
    assert kinds == ["record.entered", "record.updated", "record.left"]
    assert [one.message["type"] for one in await receiver.got(1, "/deleted")] == ["record.deleted"]


async def test_a_filter_follows_a_field_to_its_new_name(
    api: httpx.AsyncClient, world: World, receiver: Receiver
) -> None:
    """A webhook's filter names the fields of its pipeline as they are called now, and no other's is touched."""
    pipeline, other = world.pipeline(), world.pipeline()
    high = {"or": [{"field": "score", "op": "gte", "value": 50}, {"field": "name", "op": "eq", "value": "x"}]}
    webhook = await made(api, receiver.url(), pipeline_id=str(pipeline), filter=high)
    beside = await made(api, receiver.url("/beside"), pipeline_id=str(other), filter=high)
    await world.rename(pipeline, "score", "points")
    await world.rename(pipeline, "points", "marks")

    async def renamed() -> bool:
        shown = told(await api.get(f"/webhooks/{webhook['id']}"))["filter"]
        return bool(shown == {"or": [{**high["or"][0], "field": "marks"}, high["or"][1]]})

    await eventually(renamed)
    assert told(await api.get(f"/webhooks/{beside['id']}"))["filter"] == high
    await world.create(pipeline, name="Ann", marks=60)
    assert [one.message["type"] for one in await receiver.got(1)] == ["record.created"]


async def test_hidden_fields_and_records_are_not_sent(node: Node, world: World, receiver: Receiver) -> None:
    """A message holds what its owner may read, by the roles that the owner has when it is sent."""
    pipeline = world.pipeline()
    high = {"field": "score", "op": "gte", "value": 50}
    token = world.token(HOOKS, reader(row_rule=high, readable_fields=frozenset({"score"})))
    async with client(node, token) as api:
        webhook = await made(api, receiver.url())
        await world.create(pipeline, name="low", score=1, secret="s3cret")
        record = await world.create(pipeline, name="Ann", score=60, secret="s3cret")
        await world.update(record, {"secret": "changed"})
        first, second = await receiver.got(2)
        assert (first.record["data"], first.record["title"]) == ({"score": 60}, "")
        assert second.message["data"]["changed"] == []
        receiver.answer = lambda _: (500, {})
        await world.update(record, {"score": 61})
        await receiver.got(3)
        await world.change_role(token, HOOKS)
        receiver.answer = lambda _: (200, {})

        async def withheld() -> bool:
            return "withheld" in [it["state"] for it in await log(api, webhook)]

        await eventually(withheld)
    assert b"s3cret" not in b"".join(one.body for one in receiver.taken)


async def test_a_failed_delivery_comes_again_with_the_same_id(
    api: httpx.AsyncClient, world: World, receiver: Receiver
) -> None:
    """Retries repeat the id, sign anew, and stand in the log with what came back."""
    answers = iter([(500, {}), (302, {"location": receiver.url("/elsewhere")}), (200, {})])
    receiver.answer = lambda _: next(answers)
    webhook = await made(api, receiver.url())
    await world.create(world.pipeline(), name="Ann")
    taken = await receiver.got(3)
    assert len({one.id for one in taken}) == 1
    for one in taken:
        one.verify(webhook["secret"])
    (delivery,) = await finished(api, webhook, 1)
    assert [it["status"] for it in delivery["attempts"]] == [500, 302, 200]
    assert receiver.at("/elsewhere") == []


async def test_retry_after_is_honoured(api: httpx.AsyncClient, world: World, receiver: Receiver) -> None:
    """An endpoint that asks for more time gets it."""
    answers = iter([(503, {"retry-after": "2"}), (200, {})])
    receiver.answer = lambda _: next(answers)
    webhook = await made(api, receiver.url())
    await world.create(world.pipeline(), name="Ann")
    (delivery,) = await finished(api, webhook, 1)
    first, second = [msgspec.convert(it["at"], type=datetime) for it in delivery["attempts"]]
    assert (second - first).total_seconds() >= 1.9


async def test_a_record_waits_for_its_earlier_changes_and_others_do_not(
    api: httpx.AsyncClient, world: World, receiver: Receiver
) -> None:
    """While the first change of a record fails, its later ones wait, and other records' go on."""
    pipeline = world.pipeline()
    broken = True

    def answer(one: Taken) -> tuple[int, dict[str, str]]:
        return (500 if broken and one.record["title"] == "stuck" else 200), {}

    receiver.answer = answer
    webhook = await made(api, receiver.url())
    stuck = await world.create(pipeline, name="stuck")
    for score in (1, 2):
        await world.update(stuck, {"score": score})
    free = await world.create(pipeline, name="free")
    await world.update(free, {"score": 1})

    async def others_went() -> bool:
        states = [it["state"] for it in await log(api, webhook) if it["record_id"] == free["id"]]
        return states == ["succeeded"] * 2

    await eventually(others_went)
    assert {one.message["type"] for one in receiver.taken if one.record["id"] == stuck["id"]} == {"record.created"}
    broken = False
    await finished(api, webhook, 5)
    versions = [one.record["version"] for one in receiver.taken if one.record["id"] == stuck["id"]]
    assert versions == sorted(versions)
    assert versions[-1] == 3


async def test_gone_disables(api: httpx.AsyncClient, world: World, receiver: Receiver, nats_url: str) -> None:
    """After a 410 nothing more is sent, the owner reads why, and it is announced; the owner takes it up again."""
    receiver.answer = lambda _: (410, {})
    heard: list[Json] = []

    async def hear(payload: bytes) -> None:
        heard.append(msgspec.json.decode(payload))

    world.bus.listen(f"evt.{world.tenant}.realtime.webhook.disabled", hear)
    webhook = await made(api, receiver.url())
    record = await world.create(world.pipeline(), name="Ann")

    async def disabled() -> bool:
        return bool(told(await api.get(f"/webhooks/{webhook['id']}"))["state"] == "disabled")

    await eventually(disabled)
    assert told(await api.get(f"/webhooks/{webhook['id']}"))["reason"] == "endpoint-gone"

    async def announced() -> bool:
        return bool(heard)

    await eventually(announced)
    assert (heard[0]["data"]["id"], heard[0]["data"]["actor_id"]) == (webhook["id"], None)
    receiver.answer = lambda _: (200, {})
    assert (await api.post(f"/webhooks/{webhook['id']}/test")).status_code == 409
    told(await api.patch(f"/webhooks/{webhook['id']}", json={"state": "active"}))
    await world.update(record, {"score": 1})
    assert [one.message["type"] for one in await receiver.got(2)] == ["record.created", "record.updated"]


async def test_secrets_rotate_with_an_overlap(api: httpx.AsyncClient, world: World, receiver: Receiver) -> None:
    """During the overlap a message is good by the old and the new secret; without one by the new alone."""
    webhook = await made(api, receiver.url())
    path = f"/webhooks/{webhook['id']}"
    second = told(await api.post(f"{path}/secret/rotate", json={"overlap_seconds": 600}))["secret"]
    told(await api.post(f"{path}/test"), 202)
    (first,) = await receiver.got(1)
    assert first.verify(webhook["secret"]) == first.verify(second)
    assert first.message["type"] == "webhook.test"
    third = told(await api.post(f"{path}/secret/rotate", json={"overlap_seconds": 0}))["secret"]
    told(await api.post(f"{path}/test"), 202)
    last = (await receiver.got(2))[1]
    last.verify(third)
    for old in (webhook["secret"], second):
        with pytest.raises(WebhookVerificationError):
            last.verify(old)


async def test_a_slow_endpoint_holds_up_nobody(api: httpx.AsyncClient, world: World, receiver: Receiver) -> None:
    """While one endpoint does not answer and another is not there, the third gets its messages; few at once each."""
    receiver.hold["/slow"] = asyncio.Event()
    slow = await made(api, receiver.url("/slow"))
    await made(api, "http://127.0.0.1:1/dead")
    await made(api, receiver.url("/live"))
    pipeline = world.pipeline()
    for number in range(20):
        await world.create(pipeline, name=str(number))
    names = [one.record["title"] for one in await receiver.got(20, "/live")]
    assert sorted(names, key=int) == [str(number) for number in range(20)]
    assert 1 <= len(receiver.at("/slow")) <= 8
    receiver.hold["/slow"].set()
    await finished(api, slow, 20)
    assert receiver.most_at_once <= 8


async def test_a_delivery_goes_again_when_asked(api: httpx.AsyncClient, world: World, receiver: Receiver) -> None:
    """Redelivery sends the same message with the same id, and keeps both attempts."""
    webhook = await made(api, receiver.url())
    await world.create(world.pipeline(), name="Ann")
    (delivery,) = await finished(api, webhook, 1)
    path = f"/webhooks/{webhook['id']}/deliveries"
    assert told(await api.post(f"{path}/{delivery['id']}/redeliver"), 202)["state"] == "pending"
    first, second = await receiver.got(2)
    assert (first.id, first.message) == (second.id, second.message)
    (again,) = await finished(api, webhook, 1)
    assert len(again["attempts"]) == 2
    for outcome, many in (("succeeded", 1), ("failed", 0)):
        assert told(await api.get(f"{path}?count=exact&outcome={outcome}"))["count"] == many
    assert (await api.post(f"{path}/{new_id()}/redeliver")).status_code == 404


async def test_replay_sends_what_happened_since_a_position(
    api: httpx.AsyncClient, world: World, receiver: Receiver
) -> None:
    """What a webhook missed, or had, comes in order with the ids of the events; too old a position is 410."""
    await made(api, receiver.url("/other"))
    record = await world.create(world.pipeline(), name="Ann")
    positions = [await world.update(record, {"score": number}) for number in range(5)]
    await receiver.got(6, "/other")
    webhook = await made(api, receiver.url())
    path = f"/webhooks/{webhook['id']}/replay"
    asked = told(await api.post(path, json={"since": positions[1]}), 202)
    assert asked == {"since": positions[1], "until": positions[-1]}
    taken = await receiver.got(3)
    assert [one.message["data"]["seq"] for one in taken] == positions[2:]
    await finished(api, webhook, 3)
    told(await api.post(path, json={"since": positions[3]}), 202)
    again = (await receiver.got(4))[3]
    assert again.id == taken[2].id
    assert told(await api.post(path, json={"since": 10**9}), 410)["type"] == "/problems/position-unknown"
    await world.bus.jetstream.purge_stream(STREAM, seq=positions[-1])
    assert told(await api.post(path, json={"since": 1}), 410)["type"] == "/problems/position-too-old"


async def test_tenants_are_apart(api: httpx.AsyncClient, node: Node, world: World, receiver: Receiver) -> None:
    """A webhook hears nothing of another tenant, and is not there for its people."""
    webhook = await made(api, receiver.url())
    other = new_id()
    await world.create(world.pipeline(tenant=other), tenant=other, name="theirs")
    await world.create(world.pipeline(), name="ours")
    assert [one.record["title"] for one in await receiver.got(1)] == ["ours"]
    async with client(node, world.token(tenant=other)) as stranger:
        path = f"/webhooks/{webhook['id']}"
        assert (await stranger.get(path)).status_code == 404
        assert (await stranger.get(f"{path}/deliveries")).status_code == 404
        assert (await stranger.post(f"{path}/replay", json={"since": 0})).status_code == 404
        assert told(await stranger.get("/webhooks"))["items"] == []


async def test_a_webhook_rests_while_its_owner_may_not_sign_in(node: Node, world: World, receiver: Receiver) -> None:
    """Deactivating the owner pauses the webhook: what happens meanwhile is not sent, what comes later is."""
    token = world.token()
    owner = {"id": claims(token)["sub"], "name": "Test", "roles": claims(token)["roles"]}

    async def set_status(status: str) -> None:
        data = {**owner, "email": "a@example.com", "status": status}
        await world.publish(world.tenant, "auth.user.updated", owner["id"], data)

    async with client(node, token) as api:
        webhook = await made(api, receiver.url())

        async def state(wanted: str) -> bool:
            return bool(told(await api.get(f"/webhooks/{webhook['id']}"))["state"] == wanted)

        await set_status("deactivated")
        await eventually(lambda: state("paused"))
        assert told(await api.get(f"/webhooks/{webhook['id']}"))["reason"] == "owner-deactivated"
        async with client(node, world.token()) as other:
            await made(other, receiver.url("/other"))
        record = await world.create(world.pipeline(), name="unsent")
        await receiver.got(1, "/other")
        await set_status("active")
        await eventually(lambda: state("active"))
        await world.update(record, {"score": 1})
        assert [one.message["type"] for one in await receiver.got(1)] == ["record.updated"]


async def test_who_changes_a_webhook_owns_it(node: Node, world: World, receiver: Receiver) -> None:
    """Nobody sends elsewhere what another may see: a change makes it the webhook of who made the change."""
    async with client(node, world.token()) as owner:
        webhook = await made(owner, receiver.url())
    async with client(node, world.token(HOOKS)) as other:
        changed = told(await other.patch(f"/webhooks/{webhook['id']}", json={"url": receiver.url("/mine")}))
        assert changed["owner_id"] != webhook["owner_id"]
        await world.create(world.pipeline(), name="hidden")
        told(await other.post(f"/webhooks/{webhook['id']}/test"), 202)
        assert [one.message["type"] for one in await receiver.got(1, "/mine")] == ["webhook.test"]


FAULTY: list[tuple[Json, str]] = [
    ({"url": "ftp://example.com"}, "/url"),
    ({"url": "https://user:word@example.com"}, "/url"),
    ({"url": "https://"}, "/url"),
    ({"url": "https://example.com/ x"}, "/url"),
    ({"events": []}, "/events"),
    ({"events": ["record.exploded"]}, "/events/0"),
    ({"description": "x" * 501}, "/description"),
    ({"filter": {"field": "name", "op": "eq", "value": "x"}}, "/pipeline_id"),
]


async def test_faults_are_named(api: httpx.AsyncClient, receiver: Receiver) -> None:
    """What is wrong with a webhook is told by its place."""
    for body, pointer in FAULTY:
        answer = told(await api.post("/webhooks", json={"url": receiver.url(), "events": ["*"], **body}), 422)
        assert [fault["pointer"] for fault in answer["errors"]] == [pointer], body


async def test_who_may_have_webhooks(node: Node, world: World, receiver: Receiver) -> None:
    """Making one needs a grant and a person, and a rule that looks at other records is refused."""
    body: Json = {"url": receiver.url(), "events": ["*"]}
    async with client(node, world.token(reader())) as api:
        assert (await api.post("/webhooks", json=body)).status_code == 403
        assert (await api.get("/webhooks")).status_code == 403
    async with client(node, world.token(kind="api_key")) as api:
        assert told(await api.post("/webhooks", json=body), 403)["type"] == "/problems/people-only"
    act = {"sub": str(uuid4()), "sid": str(uuid4()), "name": "Eve"}
    async with client(node, world.token(act=act)) as api:
        assert told(await api.post("/webhooks", json=body), 403)["type"] == "/problems/impersonating"
    pipeline = world.pipeline({"name": "company", "type": "relation", "cardinality": "many_to_one"})
    rule = {"field": "company.name", "op": "eq", "value": "x"}
    async with client(node, world.token(HOOKS, reader(row_rule=rule))) as api:
        refused = told(await api.post("/webhooks", json={**body, "pipeline_id": str(pipeline)}), 403)
        assert refused["type"] == "/problems/rule-reaches"
    async with client(node, world.token()) as api:
        reaching = told(await api.post("/webhooks", json={**body, "pipeline_id": str(pipeline), "filter": rule}), 422)
        assert reaching["type"] == "/problems/filter-reaches"


async def test_an_organization_has_so_many_webhooks(
    api: httpx.AsyncClient, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One webhook too many is a conflict, and one that was ended makes room."""
    monkeypatch.setattr("services.realtime.usecases.webhooks.MAX_WEBHOOKS", 2)
    first, _ = [await made(api, receiver.url()) for _ in range(2)]
    body = {"url": receiver.url(), "events": ["*"]}
    assert told(await api.post("/webhooks", json=body), 409)["type"] == "/problems/too-many-webhooks"
    assert (await api.delete(f"/webhooks/{first['id']}")).status_code == 204
    await made(api, receiver.url())


async def test_two_nodes_send_each_message_once(
    settings: Settings, world: World, receiver: Receiver, node: Node, api: httpx.AsyncClient
) -> None:
    """With two nodes at work, each change is sent once and in the order of its record."""
    async with running_node(settings):
        webhook = await made(api, receiver.url())
        pipeline = world.pipeline()
        records = [await world.create(pipeline, name=str(number)) for number in range(5)]
        for score in range(4):
            for record in records:
                await world.update(record, {"score": score})
        await finished(api, webhook, 25)
    assert len(receiver.taken) == 25
    for record in records:
        versions = [one.record["version"] for one in receiver.taken if one.record["id"] == record["id"]]
        assert versions == [1, 2, 3, 4, 5]
