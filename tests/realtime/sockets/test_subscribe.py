"""Subscriptions: what is told of a change, to whom, and what is refused."""

from typing import Any
from uuid import UUID, uuid4

import msgspec

from libs.common.ids import new_id
from millrace.client import Live
from services.realtime.settings import Settings
from tests.realtime.support import Node, World, quiet, reader, running_node
from tests.support.waiting import eventually


def told(frames: list[dict[str, Any]]) -> list[str]:
    """The types of the frames that tell of records."""
    return [frame["type"] for frame in frames if frame["type"].startswith(("record_", "field_update"))]


async def settled(live: Live, world: World, channel: str) -> list[dict[str, Any]]:
    """All frames up to that of a change that is made now, which everybody in the channel's pipeline may see."""
    pipeline = next(one for one in world.pipelines)
    mark = await world.create(pipeline, name="mark", score=1)
    frames: list[dict[str, Any]] = []
    while True:
        frame = live.unread.pop(0) if live.unread else await live.receive()
        if frame.get("record", {}).get("id") == mark["id"] and frame["channel"] == channel:
            return frames
        frames.append(frame)


async def test_a_change_reaches_the_channels_of_record_pipeline_and_tenant(node: Node, world: World) -> None:
    """An update arrives once in each subscribed channel it belongs to, with position, record and changed names."""
    record = await world.create(world.pipeline(), name="Ann", score=1)
    async with node.live(world.token()) as live:
        channels = [f"record:{record['id']}", f"pipeline:{record['pipeline_id']}", "tenant"]
        for channel in channels:
            await live.subscribe(channel)
        seq = await world.update(record, {"score": 2})
        for channel in channels:
            frame = await live.expect("record_updated", channel=channel)
            assert (frame["seq"], frame["changed"], frame["record"]["data"]) == (seq, ["score"], record["data"])
        assert told(await quiet(live)) == []


async def test_each_verb_has_its_frame(node: Node, world: World) -> None:
    """Created, updated, deleted and restored records are told as created, updated, deleted and created."""
    pipeline = world.pipeline()
    async with node.live(world.token()) as live:
        await live.subscribe(f"pipeline:{pipeline}")
        record = await world.create(pipeline, name="Ann")
        await world.update(record, {"name": "Eve"})
        await world.delete(record)
        await world.announce("restored", record)
        kinds = ("record_created", "record_updated", "record_deleted", "record_created")
        assert [(await live.expect(kind))["record"]["id"] for kind in kinds] == [record["id"]] * 4


async def test_the_address_of_a_record_subscribes_to_it(node: Node, world: World) -> None:
    """`/ws/records/<id>` is a socket that is subscribed already."""
    record = await world.create(world.pipeline(), name="Ann")
    async with node.live(world.token(), f"/ws/records/{record['id']}/") as live:
        await live.expect("subscribed", channel=f"record:{record['id']}")
        await world.update(record, {"name": "Eve"})
        await live.expect("record_updated")


async def test_another_tenants_changes_do_not_arrive(node: Node, world: World) -> None:
    """In the tenant's channel there is nothing of another tenant, whose pipelines and records are not found."""
    theirs = new_id()
    mine, their_pipeline = world.pipeline(), world.pipeline(tenant=theirs)
    secret = await world.create(their_pipeline, tenant=theirs, name="secret")
    async with node.live(world.token()) as live, node.live(world.token(tenant=theirs)) as other:
        for channel in (f"pipeline:{their_pipeline}", f"record:{secret['id']}"):
            await live.send(type="subscribe", channel=channel)
            assert (await live.expect("error", channel=channel))["code"] == "not-found"
        await live.subscribe("tenant")
        await other.subscribe("tenant")
        await world.update(secret, {"name": "still secret"})
        await other.expect("record_updated")
        assert told(await settled(live, world, "tenant")) == []
    assert mine != their_pipeline


async def test_a_row_rule_decides_what_is_told(node: Node, world: World) -> None:
    """Who may see high scores is told of records that are, become and cease to be high, and of no others."""
    pipeline = world.pipeline()
    low = await world.create(pipeline, name="low", score=1)
    rule = {"field": "score", "op": "gte", "value": 50}
    async with node.live(world.token(reader(row_rule=rule))) as live, node.live(world.token()) as everything:
        await live.subscribe(f"pipeline:{pipeline}")
        await everything.subscribe(f"pipeline:{pipeline}")
        await world.update(low, {"name": "lower"})
        await world.update(low, {"score": 60})
        await world.update(low, {"name": "high"})
        await world.update(low, {"score": 2})
        await world.delete(low)
        await everything.expect("record_deleted")
        frames = await quiet(live)
    assert told(frames) == ["record_entered", "record_updated", "record_left"]
    assert frames[-1]["record"] == {"id": low["id"], "pipeline_id": str(pipeline)}


async def test_a_rule_may_speak_of_the_user(node: Node, world: World) -> None:
    """`$user` in a rule is whoever listens, also where two users share the role."""
    pipeline = world.pipeline({"name": "owner", "type": "text"})
    role = world.issuer.role(world.tenant, [reader(row_rule={"field": "owner", "value": "$user"})])
    ann, bob = str(uuid4()), str(uuid4())
    async with (
        node.live(world.issuer.token(world.tenant, role, sub=ann)) as anns,
        node.live(world.issuer.token(world.tenant, role, sub=bob)) as bobs,
    ):
        await anns.subscribe(f"pipeline:{pipeline}")
        await bobs.subscribe(f"pipeline:{pipeline}")
        await world.create(pipeline, owner=ann)
        await world.create(pipeline, owner=bob)
        assert (await anns.expect("record_created"))["record"]["data"] == {"owner": ann}
        assert (await bobs.expect("record_created"))["record"]["data"] == {"owner": bob}
        assert told([*await quiet(anns), *await quiet(bobs)]) == []


async def test_hidden_fields_are_not_told(node: Node, world: World) -> None:
    """A mask takes hidden fields out of the record, out of the changed names, and out of a title made of them."""
    pipeline = world.pipeline(title_template="{name} {secret}")
    grant = reader(readable_fields=frozenset({"name", "score"}))
    async with node.live(world.token(grant)) as live:
        await live.subscribe(f"pipeline:{pipeline}")
        record = await world.create(pipeline, name="Ann", secret="x")
        created = await live.expect("record_created")
        assert (created["record"]["data"], created["changed"]) == ({"name": "Ann"}, ["name"])
        assert created["record"]["title"] == ""
        await world.update(record, {"secret": "y", "name": "Eve"})
        updated = await live.expect("record_updated")
        assert (updated["record"]["data"], updated["changed"]) == ({"name": "Eve"}, ["name"])


async def test_the_mask_is_that_of_the_grants_whose_rules_hold(node: Node, world: World) -> None:
    """One grant shows names everywhere, another shows all where the score is high: each record has its own mask."""
    pipeline = world.pipeline()
    high = {"field": "score", "op": "gte", "value": 50}
    grants = [reader(readable_fields=frozenset({"name", "score"})), reader(row_rule=high)]
    async with node.live(world.token(*grants)) as live:
        await live.subscribe(f"pipeline:{pipeline}")
        await world.create(pipeline, name="low", score=1, secret="x")
        await world.create(pipeline, name="high", score=99, secret="y")
        assert (await live.expect("record_created"))["record"]["data"] == {"name": "low", "score": 1}
        assert (await live.expect("record_created"))["record"]["data"] == {"name": "high", "score": 99, "secret": "y"}


async def test_a_filter_makes_a_live_view(node: Node, world: World) -> None:
    """Records enter, change within and leave the view that a filter makes."""
    pipeline = world.pipeline()
    async with node.live(world.token()) as live, node.live(world.token()) as everything:
        tree = {
            "or": [{"field": "score", "op": "gt", "value": 10}, {"field": "name", "op": "starts_with", "value": "X"}]
        }
        await live.subscribe(f"pipeline:{pipeline}", filter=tree)
        await everything.subscribe(f"pipeline:{pipeline}")
        record = await world.create(pipeline, name="Ann", score=1)
        await world.update(record, {"score": 11})
        await world.update(record, {"name": "Xann"})
        await world.update(record, {"score": 1})
        await world.update(record, {"name": "Ann"})
        await world.create(pipeline, name="Bob", score=99)
        await everything.expect("record_created", changed=["name", "score"])
        await everything.expect("record_created")
        expected = ["record_entered", "record_updated", "record_updated", "record_left", "record_created"]
        assert told(await quiet(live)) == expected


async def test_days_of_a_filter_begin_in_the_zone_of_the_organization(node: Node, world: World) -> None:
    """A filter that names a day is judged in the zone of the organization, also when that changes underway."""
    pipeline = world.pipeline({"name": "at", "type": "datetime"})
    async with node.live(world.token()) as live:
        await live.subscribe(f"pipeline:{pipeline}", filter={"field": "at", "value": "2026-02-01"})
        await world.create(pipeline, at="2026-01-31T23:30:00.000Z")
        assert told(await quiet(live)) == []
        zoned = {"id": str(world.tenant), "status": "active", "time_zone": "Europe/Berlin"}
        await world.publish(world.tenant, "auth.tenant.updated", str(world.tenant), zoned)

        async def seen() -> bool:
            await world.create(pipeline, at="2026-01-31T23:30:00.000Z")
            return "record_created" in told(await quiet(live))

        await eventually(seen)


async def test_a_filter_may_name_a_field_that_was_made_just_now(node: Node, world: World) -> None:
    """A field of which no event has told yet is asked for before a filter by it is refused."""
    pipeline = world.pipeline()
    async with node.live(world.token()) as live:
        await live.subscribe(f"pipeline:{pipeline}", filter={"field": "score", "op": "gt", "value": 1})
        known = world.pipelines[pipeline]
        fields = [*known["fields"], {"name": "city", "type": "text"}]
        world.pipelines[pipeline] = {**known, "fields": fields, "version": known["version"] + 1}
        await live.subscribe(f"pipeline:{pipeline}", filter={"field": "city", "value": "Bonn"})


async def test_subscribing_again_replaces_the_filter(node: Node, world: World) -> None:
    """The second subscription to a channel is the only one."""
    pipeline = world.pipeline()
    async with node.live(world.token()) as live:
        channel = f"pipeline:{pipeline}"
        await live.subscribe(channel, filter={"field": "name", "value": "Ann"})
        await live.subscribe(channel, filter={"field": "name", "value": "Bob"})
        await world.create(pipeline, name="Ann")
        await world.create(pipeline, name="Bob")
        assert (await live.expect("record_created"))["record"]["title"] == "Bob"
        assert told(await quiet(live)) == []


UNJUDGED: list[tuple[str, dict[str, object], str]] = [
    ("pipeline", {"field": "nothing", "value": 1}, "validation-failed"),
    ("pipeline", {"field": "secret", "value": "x"}, "validation-failed"),
    ("pipeline", {"field": "title", "value": "x"}, "validation-failed"),
    ("pipeline", {"field": "name.other", "value": 1}, "filter-reaches"),
    ("pipeline", {"not": {"some": {"field": "name", "filter": {}}}}, "filter-reaches"),
    ("pipeline", {"field": "name", "op": "none", "value": {}}, "filter-reaches"),
    ("tenant", {"field": "name", "value": "x"}, "filter-not-taken"),
]


async def test_a_filter_that_cannot_be_judged_is_refused(node: Node, world: World) -> None:
    """Unknown and hidden fields, other records, and channels of many pipelines are told as errors."""
    pipeline = world.pipeline(title_template="{secret}")
    for channel, tree, code in UNJUDGED:
        name = f"pipeline:{pipeline}" if channel == "pipeline" else channel
        async with node.live(world.token(reader(readable_fields=frozenset({"name"})))) as live:
            await live.send(type="subscribe", channel=name, filter=tree)
            assert (await live.expect("error", channel=name))["code"] == code, tree


ABSENT = [
    ("everything", "unknown-channel"),
    ("record:none", "unknown-channel"),
    ("tenant:1", "unknown-channel"),
    (f"record:{UUID(int=7)}", "not-found"),
    (f"pipeline:{UUID(int=7)}", "not-found"),
]


async def test_what_does_not_exist_cannot_be_subscribed(node: Node, world: World) -> None:
    """Channels that are none, and records and pipelines that are not there, are told as errors."""
    for channel, code in ABSENT:
        async with node.live(world.token()) as live:
            await live.send(type="subscribe", channel=channel)
            assert (await live.expect("error", channel=channel))["code"] == code


async def test_without_a_grant_nothing_can_be_subscribed(node: Node, world: World) -> None:
    """A principal that may read one pipeline's records is refused another's, and told only of its own."""
    mine, other = world.pipeline(), world.pipeline()
    async with node.live(world.token(reader(mine))) as live:
        await live.send(type="subscribe", channel=f"pipeline:{other}")
        assert (await live.expect("error"))["code"] == "forbidden"
        await live.subscribe("tenant")
        await world.create(other, name="not for you")
        await world.create(mine, name="for you")
        assert (await live.expect("record_created"))["record"]["title"] == "for you"
        assert told(await quiet(live)) == []


async def test_an_unsubscribed_channel_is_silent(node: Node, world: World) -> None:
    """After `unsubscribed` nothing of the channel arrives."""
    pipeline = world.pipeline()
    async with node.live(world.token()) as live:
        await live.subscribe(f"pipeline:{pipeline}")
        await live.subscribe("tenant")
        await live.send(type="unsubscribe", channel=f"pipeline:{pipeline}")
        await live.expect("unsubscribed")
        await world.create(pipeline, name="Ann")
        assert (await live.expect("record_created"))["channel"] == "tenant"
        assert told(await quiet(live)) == []


async def test_a_changed_role_acts_on_open_subscriptions(node: Node, world: World) -> None:
    """A role that loses a field hides it at once, and one that loses its grant ends the subscription."""
    pipeline = world.pipeline()
    token = world.token(reader())
    async with node.live(token) as live:
        channel = f"pipeline:{pipeline}"
        await live.subscribe(channel)
        await world.change_role(token, reader(readable_fields=frozenset({"name"})))
        await until_told(live, world, {"name": "Ann"})
        await world.change_role(token)
        assert (await live.expect("error", channel=channel))["code"] == "forbidden"
        await world.create(pipeline, name="after")
        assert told(await quiet(live)) == []


async def until_told(live: Live, world: World, data: dict[str, object]) -> None:
    """Make records until one is told with this data."""
    pipeline = next(iter(world.pipelines))
    for _ in range(100):
        await world.create(pipeline, name="Ann", secret="x")
        if (await live.expect("record_created"))["record"]["data"] == data:
            return
    raise AssertionError(f"never told as {data}")


async def test_a_deleted_pipeline_ends_its_subscriptions(node: Node, world: World) -> None:
    """When a pipeline goes to the trash its channel is told to be gone."""
    pipeline = world.pipeline()
    async with node.live(world.token()) as live:
        await live.subscribe(f"pipeline:{pipeline}")
        await world.redefine(pipeline, deleted=True)
        assert (await live.expect("error", channel=f"pipeline:{pipeline}"))["code"] == "not-found"


async def test_a_filter_on_a_field_that_goes_away_ends(node: Node, world: World) -> None:
    """A view whose field was removed is told to be no longer valid, not silently empty."""
    pipeline = world.pipeline()
    async with node.live(world.token()) as live:
        await live.subscribe(f"pipeline:{pipeline}", filter={"field": "score", "value": 1})
        await world.redefine(pipeline, fields=[{"name": "name", "type": "text"}])
        assert (await live.expect("error", channel=f"pipeline:{pipeline}"))["code"] == "validation-failed"


async def test_a_filter_follows_a_field_to_its_new_name(node: Node, world: World) -> None:
    """Views, counts and rules that speak of a field go on when it is called otherwise, also when that happens twice and
    before the role has heard of it.
    """
    pipeline = world.pipeline()
    channel, high = f"pipeline:{pipeline}", {"field": "score", "op": "gt", "value": 10}
    record = await world.create(pipeline, name="Ann", score=60)
    ruled = world.token(reader(pipeline, row_rule=high, readable_fields=frozenset({"score"})))
    async with node.live(world.token()) as view, node.live(world.token()) as board, node.live(ruled) as under:
        await under.subscribe(channel)
        await view.subscribe(channel, filter=high)
        await board.subscribe(channel, filter=high, group_by="name", metrics="count,sum:score")
        assert len((await board.expect("groups"))["groups"]) == 1
        await world.rename(pipeline, "score", "points")
        await world.rename(pipeline, "name", "title_line")
        await world.rename(pipeline, "points", "marks")

        async def renamed() -> bool:
            found = node.app._context.live.definitions.cached(world.tenant, pipeline)
            return found is not None and found.version == world.pipelines[pipeline]["version"]

        await eventually(renamed)
        await world.update(record, {"marks": 70})
        await world.update(record, {"marks": 5})
        for live in (view, under):
            told = await live.expect("record_updated")
            assert (told["changed"], told["record"]["data"]["marks"]) == (["marks"], 70)
            await live.expect("record_left")
        assert list(told["record"]["data"]) == ["marks"]
        while (await board.expect("groups"))["groups"][0]["group"] != {"title_line": "Ann"}:
            pass
        assert {frame["type"] for frame in await quiet(view)} <= {"presence_join"}


async def test_subscriptions_are_bounded(settings: Settings, world: World) -> None:
    """Over the bound a subscription is refused and the others stay."""
    pipeline = world.pipeline()
    bounded = msgspec.structs.replace(settings, max_subscriptions=1)
    async with running_node(bounded) as node, node.live(world.token()) as live:
        await live.subscribe("tenant")
        await live.send(type="subscribe", channel=f"pipeline:{pipeline}")
        assert (await live.expect("error"))["code"] == "too-many-subscriptions"
        await world.create(pipeline, name="Ann")
        await live.expect("record_created", channel="tenant")
