"""Editing together: field updates, conflicts, focus and cursors."""

import pytest

from libs.common.errors import Invalid, StaleVersion, Unavailable
from tests.realtime.support import Node, World, claims, quiet, reader


async def test_the_sender_is_acknowledged_and_the_others_see_the_field(node: Node, world: World) -> None:
    """A field update is an `ack` to its sender and a `field_update` to the others, also to the user's other tab."""
    record = await world.create(world.pipeline(), name="Ann")
    channel, token = f"record:{record['id']}", world.token(name="Ada")
    async with node.live(token) as sender, node.live(token) as tab, node.live(world.token()) as other:
        for live in (sender, tab, other):
            await live.subscribe(channel)
        await sender.send(type="field_update", field="name", value="Eve", base_version=1, operation_id="one")
        assert (await sender.expect("ack"))["version"] == 2
        for live in (tab, other):
            frame = await live.expect("field_update", channel=channel)
            assert (frame["field"], frame["value"], frame["version"]) == ("name", "Eve", 2)
            assert (frame["operation_id"], frame["user"]) == ("one", {"id": claims(token)["sub"], "name": "Ada"})
            assert frame["seq"] > 0
            assert "record_updated" not in [one["type"] for one in await quiet(live)]
        kinds = [frame["type"] for frame in await quiet(sender)]
        assert "field_update" not in kinds
        assert "record_updated" not in kinds
    assert [(u["base_version"], u["record_id"]) for u in world.updates] == [(1, record["id"])]


async def test_those_in_the_pipeline_are_told_of_the_record(node: Node, world: World) -> None:
    """A field update is an ordinary update in the pipeline's channel, also to its sender."""
    record = await world.create(world.pipeline(), name="Ann")
    async with node.live(world.token()) as live:
        await live.subscribe(f"pipeline:{record['pipeline_id']}")
        await live.send(
            type="field_update", record_id=record["id"], field="name", value="Eve", base_version=None, operation_id="1"
        )
        await live.expect("ack", operation_id="1")
        assert (await live.expect("record_updated"))["record"]["data"] == {"name": "Eve"}


async def test_a_field_update_is_not_told_to_those_who_may_not_read_it(node: Node, world: World) -> None:
    """Of a hidden field neither name nor value arrives; that the record has a new version does."""
    record = await world.create(world.pipeline(), name="Ann", secret="x")
    grant = reader(readable_fields=frozenset({"name"}))
    async with node.live(world.token()) as sender, node.live(world.token(grant)) as blind:
        await sender.subscribe(f"record:{record['id']}")
        await blind.subscribe(f"record:{record['id']}")
        await sender.send(type="field_update", field="secret", value="hush", operation_id="one")
        frame = await blind.expect("record_updated")
        assert (frame["changed"], frame["record"]["data"], frame["record"]["version"]) == ([], {"name": "Ann"}, 2)
        assert "hush" not in str([frame, *await quiet(blind)])


async def test_a_collision_is_told_as_conflict(node: Node, world: World) -> None:
    """The base, the present and the attempted value come back with the present version."""
    record = await world.create(world.pipeline(), name="Ann")
    found = {"field": "name", "base": "Ann", "current": "Bob", "attempted": "Eve"}
    world.refuse = StaleVersion(extra={"version": 7, "conflicts": [found]})
    async with node.live(world.token(), f"/ws/records/{record['id']}") as live:
        await live.expect("subscribed")
        await live.send(type="field_update", field="name", value="Eve", base_version=1, operation_id="one")
        conflict = await live.expect("conflict")
    assert conflict == {"type": "conflict", "operation_id": "one", "version": 7, **found}


@pytest.mark.parametrize(
    ("error", "code"), [(Invalid(), "validation-failed"), (Unavailable(), "unavailable")], ids=["invalid", "away"]
)
async def test_other_errors_name_the_operation(
    node: Node, world: World, error: Invalid | Unavailable, code: str
) -> None:
    """What records refuses is an error frame with the operation's id, and the socket goes on."""
    record = await world.create(world.pipeline(), name="Ann")
    world.refuse = error
    async with node.live(world.token(), f"/ws/records/{record['id']}") as live:
        await live.expect("subscribed")
        await live.send(type="field_update", field="name", value="Eve", operation_id="one")
        assert (await live.expect("error", operation_id="one"))["code"] == code
        await quiet(live)


async def test_without_an_open_record_a_field_update_must_name_one(node: Node, world: World) -> None:
    """The record may be left out only where it is clear."""
    async with node.live(world.token()) as live:
        await live.send(type="field_update", field="name", value="Eve", operation_id="one")
        assert (await live.expect("error", operation_id="one"))["code"] == "record-unclear"


async def test_focus_and_cursor_reach_the_others_in_the_record(node: Node, world: World) -> None:
    """Where a user is goes to the others who have the record open, and not back to the sender."""
    record = await world.create(world.pipeline(), name="Ann")
    token = world.token(name="Ada")
    async with node.live(token) as sender, node.live(world.token()) as other:
        await sender.subscribe(f"record:{record['id']}")
        await other.subscribe(f"record:{record['id']}")
        await sender.send(type="focus", record_id=record["id"], field="name")
        await sender.send(type="cursor", field="name", position={"at": 3})
        await sender.send(type="focus", field=None)
        focus, cursor = await other.expect("focus"), await other.expect("cursor")
        assert (focus["field"], focus["user"]["name"], focus["record_id"]) == ("name", "Ada", record["id"])
        assert (cursor["field"], cursor["position"]) == ("name", {"at": 3})
        assert (await other.expect("focus"))["field"] is None
        assert {"focus", "cursor"}.isdisjoint(frame["type"] for frame in await quiet(sender))


async def test_focus_on_a_hidden_field_stays_hidden(node: Node, world: World) -> None:
    """Who may not read a field is not told that somebody is at it, and cannot say to be at it."""
    record = await world.create(world.pipeline(), name="Ann", secret="x")
    grant = reader(readable_fields=frozenset({"name"}))
    async with node.live(world.token()) as sender, node.live(world.token(grant)) as blind:
        await sender.subscribe(f"record:{record['id']}")
        await blind.subscribe(f"record:{record['id']}")
        await sender.send(type="focus", field="secret")
        await sender.send(type="focus", field="name")
        assert (await blind.expect("focus"))["field"] == "name"
        assert "secret" not in str(await quiet(blind))
        await blind.send(type="focus", field="secret")
        assert (await blind.expect("error"))["code"] == "field-not-readable"


@pytest.mark.parametrize("frame", [{"type": "focus", "field": "name"}, {"type": "cursor", "position": 1}])
async def test_only_who_has_the_record_open_can_be_in_it(node: Node, world: World, frame: dict[str, object]) -> None:
    """Focus and cursor need a subscription to the record."""
    record = await world.create(world.pipeline(), name="Ann")
    async with node.live(world.token()) as live:
        await live.send(record_id=record["id"], **frame)
        assert (await live.expect("error"))["code"] == "not-subscribed"
