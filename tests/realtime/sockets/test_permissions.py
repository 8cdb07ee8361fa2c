"""Permissions on every kind of frame, in both directions: a kind that is new has to be named here."""

from collections.abc import Iterator
from typing import Any, get_args

import pytest

from libs.common.errors import NotFound
from services.realtime.domain.messages import Message
from services.realtime.domain.sight import Kind
from services.realtime.sockets.frames import AnyFrame
from tests.realtime.support import Json, Node, World, quiet, reader

HUSH = "hush"
OWN = {
    "authenticated", "subscribed", "unsubscribed", "ack", "conflict", "error", "pong", "reconnect", "resync_required",
    "notification", "job_updated",
}  # fmt: skip
"""What a socket is told of itself and its user alone."""
SHOWN = {
    *get_args(Kind), "field_update", "focus", "cursor", "locked", "unlocked", "groups", "presence_join",
    "presence_leave",
}  # fmt: skip
"""What it is told of others, as far as it may see it."""
REFUSALS: dict[str, tuple[Json, str | None]] = {
    "authenticate": ({}, "other-principal"),
    "subscribe": ({"channel": "record:{record}", "from_seq": 0}, "forbidden"),
    "unsubscribe": ({"channel": "record:{record}"}, None),
    "field_update": ({"record_id": "{record}", "field": "name", "value": 1, "operation_id": "1"}, "not-found"),
    "lock": ({"record_id": "{record}", "field": "name"}, "not-subscribed"),
    "unlock": ({"record_id": "{record}", "field": "name"}, None),
    "focus": ({"record_id": "{record}", "field": "name"}, "not-subscribed"),
    "cursor": ({"record_id": "{record}", "position": 1}, "not-subscribed"),
    "ping": ({}, None),
}
"""What is said to a stranger who sends a frame about a record; none is where it does nothing."""


def tags(kind: Any) -> Iterator[str]:
    """What frames of a Struct and of those below it are called."""
    for below in kind.__subclasses__():
        yield str(below.__struct_config__.tag)
        yield from tags(below)


def test_every_kind_of_frame_is_looked_at() -> None:
    """Each frame that a server or client may send is in one of the lists here."""
    assert set(tags(Message)) | set(get_args(Kind)) == OWN | SHOWN
    assert {str(kind.__struct_config__.tag) for kind in get_args(AnyFrame)} == set(REFUSALS)


async def test_no_frame_shows_what_may_not_be_seen(node: Node, world: World) -> None:
    """Whatever is done, who may not read a field gets no frame that names it, and who may read nothing gets none."""
    pipeline = world.pipeline()
    record = await world.create(pipeline, name="Ann", secret="x")
    channel, board = f"record:{record['id']}", f"pipeline:{pipeline}"
    masked, stranger = reader(readable_fields=frozenset({"name"})), reader(world.pipeline())
    hidden = {"field": "secret", "value": HUSH}
    async with (
        node.live(world.token()) as actor,
        node.live(world.token()) as full,
        node.live(world.token()) as view,
        node.live(world.token(masked)) as dim,
        node.live(world.token(stranger)) as out,
    ):
        await out.subscribe("tenant")
        await out.subscribe("user")
        await quiet(out)
        await view.subscribe(board, filter=hidden)
        for live in (actor, full, dim):
            await live.subscribe(board, **({"group_by": "secret"} if live is full else {}))
            await live.subscribe(channel)
        for frame in ("focus", "lock", "cursor", "unlock"):
            await actor.send(type=frame, field="secret", **({"position": HUSH} if frame == "cursor" else {}))
        await actor.send(type="field_update", field="secret", value=HUSH, operation_id="1")
        await actor.expect("ack")
        seen = [await view.expect("record_entered")]
        await world.update(record, {"secret": f"{HUSH}!", "name": "Eve"})
        seen += [await view.expect("record_left")]
        await world.create(pipeline, secret=HUSH)
        await world.delete(record)
        await actor.send(type="unsubscribe", channel=channel)
        seen += [await full.expect(kind) for kind in sorted(SHOWN - {"record_entered", "record_left"})]
        assert {frame["type"] for frame in seen} == SHOWN
        shown = await quiet(dim)
        assert {"record_updated", "record_deleted", "record_created"} <= {frame["type"] for frame in shown}
        assert HUSH not in str(shown)
        assert not [frame for frame in shown if "secret" in (frame.get("field"), *frame.get("changed", ()))]
        assert not [frame for frame in shown if "secret" in frame.get("record", {}).get("data", {})]
        assert await quiet(out) == []


@pytest.mark.parametrize("kind", REFUSALS)
async def test_a_stranger_does_nothing(node: Node, world: World, kind: str) -> None:
    """Whatever frame somebody sends about a record that they may not read is refused, or has no effect on others."""
    record = await world.create(world.pipeline(), name="Ann")
    said, code = REFUSALS[kind]
    frame = {name: value.format(record=record["id"]) if isinstance(value, str) else value
             for name, value in said.items()}  # fmt: skip
    async with node.live(world.token()) as other, node.live(world.token(reader(world.pipeline()))) as live:
        await other.subscribe(f"record:{record['id']}")
        world.refuse = NotFound()
        await live.send(type=kind, **(frame or ({"token": world.token()} if kind == "authenticate" else {})))
        told = [one for one in await quiet(live) if one["type"] == "error"]
        assert [one["code"] for one in told] == ([] if code is None else [code])
        assert await quiet(other) == []
    assert world.updates == []
