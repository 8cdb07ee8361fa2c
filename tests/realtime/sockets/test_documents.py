"""Shared documents: convergence across nodes, what is kept, who may take part, and their texts in the records."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pycrdt import create_update_message

from libs.common.errors import AppError, Conflict, Forbidden, Malformed, NotFound, Unavailable
from libs.common.ids import new_id
from services.realtime.domain import documents as rules
from services.realtime.settings import Settings
from services.realtime.sockets.documents import DocumentConnection
from tests.realtime.support import Json, Node, World, claims, process, reader, running_node
from tests.support.waiting import eventually
from tests.support.yjs import Peer


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Texts are written soon."""
    return msgspec.structs.replace(settings, document_text_seconds=0.1, document_text_latest_seconds=0.5)


@pytest.fixture
async def record(world: World) -> Json:
    """A record with a text."""
    return await world.create(world.pipeline({"name": "notes", "type": "textarea"}), notes="Hello")


def address(node: Node, record: Json, field: str = "notes") -> str:
    """Where a document is."""
    return f"{node.url}/api/v1/ws/docs/{record['id']}/{field}"


def peer(node: Node, record: Json, token: str) -> Peer:
    """A person's copy of the document."""
    return Peer(address(node, record), token)


def connections(node: Node, world: World) -> list[DocumentConnection]:
    """The tenant's sockets of documents on a node."""
    found = node.app._context.live.registry.of(world.tenant)
    return [one for one in found if isinstance(one, DocumentConnection)]


async def has_text(record: Json, text: str) -> None:
    """Waits until the record has a text."""

    async def same() -> bool:
        return bool(record["data"].get("notes") == text)

    await eventually(same)


async def test_a_document_begins_with_the_fields_text(node: Node, world: World, record: Json) -> None:
    """Who connects gets the text of the field; what one writes the others get, and the record after a moment."""
    ann, bob = peer(node, record, world.token(name="Ann")), peer(node, record, world.token())
    async with ann.online(), bob.online():
        await ann.reads("Hello")
        await bob.reads("Hello")
        ann.text += " world"
        await bob.reads("Hello world")
        await has_text(record, "Hello world")
    assert [(one["by"]["name"], one["text"]) for one in world.written] == [("Ann", "Hello world")]


async def test_two_nodes_begin_one_document(settings: Settings, world: World, record: Json) -> None:
    """Opened at once on two nodes there is one document with the text once, and edits cross from node to node."""
    async with running_node(settings) as here, running_node(settings) as there:
        ann, bob = peer(here, record, world.token()), peer(there, record, world.token())
        async with ann.online(), bob.online():
            await asyncio.gather(ann.reads("Hello"), bob.reads("Hello"))
            ann.text.insert(0, "A")
            bob.text += "B"
            await asyncio.gather(ann.reads("AHelloB"), bob.reads("AHelloB"))
            await has_text(record, "AHelloB")


async def test_offline_edits_are_merged(node: Node, world: World, record: Json) -> None:
    """What two people wrote while they were offline is there when both have been back, whoever comes first."""
    ann, bob = peer(node, record, world.token()), peer(node, record, world.token())
    async with ann.online(), bob.online():
        await asyncio.gather(ann.reads("Hello"), bob.reads("Hello"))
    ann.text.insert(0, "Ann. ")
    bob.text += " Bob."
    async with bob.online():
        await bob.synced.wait()
    async with ann.online():
        await ann.reads("Ann. Hello Bob.")
    await has_text(record, "Ann. Hello Bob.")


async def test_a_node_that_is_killed_loses_nothing_it_told(settings: Settings, world: World, record: Json) -> None:
    """What others were told before a node was killed is in the document and in the record's text after it."""
    with process(settings) as (url, node):
        ann = Peer(f"{url}/ws/docs/{record['id']}/notes", world.token())
        bob = Peer(f"{url}/ws/docs/{record['id']}/notes", world.token())
        async with ann.online(), bob.online():
            await asyncio.gather(ann.reads("Hello"), bob.reads("Hello"))
            for number in range(20):
                ann.text += f" {number}"
            expected = str(ann.text)
            await bob.reads(expected)
            node.kill()
    async with running_node(settings) as other:
        late = peer(other, record, world.token())
        async with late.online():
            await late.reads(expected)
        await has_text(record, expected)


TEXT = "hello world, this is a text"
POISON = (
    b"\x01\x01\x01\xd3\xf8\xea\xc0\xdb\x85\x80\x00\xc1\x01\x02\x01\x03\x03\x02\x01\x01\x02\x01\xc1\xd3\xf8\xea\xc0"
    b"\xdb\x85\x03\x01\x00\x03",
    b"\x01\x02\xfb\x00\xd6\xe4\x8e\xaa\xec\x04\x00\xc4\xff\x00\x01\x01\x01a\xc1\xfb\x91\xd6\xe4\x8e\xaa\xec\x04\x00\x01\x01"
    b"\x02\x02\x01\x01\x01\x02\xfb\x91\xd6\xe4\x8e\xaa\xec\x04\x01\x01\x02",
    b"\x01\x01\xf6\xbf\xe7\xc7\xac\xf3\xd2\x80\x00\x02\x01\x02\x01\x03\x03\x02\x01\x01\x02\x01\xf6\xbf\xe7\xc7\xac\xf3\xd2"
    b"\x06\x01\x00\x03",
)
"""Updates that an empty document takes, and that break one with this text: two of them by panics of the library."""


@pytest.mark.parametrize("poison", POISON)
async def test_an_update_that_breaks_documents_reaches_no_log(node: Node, world: World, poison: bytes) -> None:
    """Who sends it is shown out; the others go on, on that document and on all others, and their texts are written."""
    record = await world.create(world.pipeline({"name": "notes", "type": "textarea"}), notes=TEXT)
    ann, eve = peer(node, record, world.token()), peer(node, record, world.token())
    async with ann.online():
        await ann.reads(TEXT)
        async with eve.online():
            await eve.say(create_update_message(poison))
            await eventually(_is_true(lambda: eve.close_code is not None))
        assert eve.close_code == 4400
        ann.text += "!"
        await has_text(record, f"{TEXT}!")
    late = peer(node, record, world.token())
    async with late.online():
        await late.reads(f"{TEXT}!")


@pytest.mark.parametrize("poison", POISON)
def test_what_is_broken_is_an_error_like_others(poison: bytes) -> None:
    """Should such an update be in a log all the same, whoever reads it is told so, and nothing panics."""
    with pytest.raises(Malformed):
        rules.fits(rules.begin(TEXT), poison)
    for work in (rules.compact, lambda updates: rules.edit(updates, "new")):
        with suppress(AppError):
            work([rules.begin(TEXT), poison])


async def test_a_socket_speaks_for_so_many_clients(node: Node, world: World, record: Json) -> None:
    """However many messages it sends, it fills no memory with clients that are not there."""
    eve = peer(node, record, world.token())
    async with eve.online():
        await eve.reads("Hello")
        for client in range(11):
            await eve.say(rules.awareness([rules.State(client, 1, "{}")]))
        await eventually(_is_true(lambda: eve.close_code is not None))
    assert eve.close_code == 4529


def _is_true(said: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def asked() -> bool:
        return said()

    return asked


EDITS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 40), st.integers(0, 4), st.text(alphabet="abé😀 ", max_size=4)),
    min_size=1, max_size=25,
)  # fmt: skip


def scribble(one: Peer, place: int, gone: int, text: str) -> None:
    """An edit at a place, counted in characters and done in bytes as the library wants it."""
    present = str(one.text)
    begin = min(place, len(present))
    end = min(begin + gone, len(present))
    first, last = len(present[:begin].encode()), len(present[:end].encode())
    if last > first:
        del one.text[first:last]
    if text:
        one.text.insert(first, text)


async def test_random_concurrent_edits_converge(settings: Settings, world: World) -> None:
    """Whatever four people on two nodes write at once, coming and going, all end with one text, as does the record."""
    async with running_node(settings) as here, running_node(settings) as there:
        tokens = [world.token() for _ in range(4)]

        async def once(edits: list[tuple[int, int, int, str]]) -> None:
            pipeline = world.pipeline({"name": "notes", "type": "textarea"})
            record = await world.create(pipeline, notes="The quick brown fox")
            peers = [peer((here, there)[n % 2], record, token) for n, token in enumerate(tokens)]
            for begin in range(0, len(edits), 8):
                some = edits[begin : begin + 8]
                scribble(peers[begin % 3], *some[0][1:])
                async with peers[0].online(), peers[1].online(), peers[2].online(), peers[3].online():
                    for who, *edit in some:
                        scribble(peers[who], *edit)
                        await asyncio.sleep(0)

                    async def same() -> bool:
                        return len({str(one.text) for one in peers}) == 1 and all(one.synced.is_set() for one in peers)

                    await eventually(same)
            await has_text(record, str(peers[0].text))

        loop = asyncio.get_running_loop()

        @hypothesis_settings(max_examples=12, database=None)
        @given(EDITS)
        def explore(edits: list[tuple[int, int, int, str]]) -> None:
            asyncio.run_coroutine_threadsafe(once(edits), loop).result(300)

        await asyncio.to_thread(explore)


async def test_readers_read(node: Node, world: World, record: Json) -> None:
    """Who may read the field alone gets every change, and what they send is denied and changes nothing."""
    ann, dim = world.token(), world.token()
    world.readers.add(claims(dim)["sub"])
    async with peer(node, record, ann).online() as writer, peer(node, record, dim).online() as watcher:
        await asyncio.gather(writer.reads("Hello"), watcher.reads("Hello"))
        watcher.text += " from nobody"

        async def denied() -> bool:
            return bool(watcher.denied)

        await eventually(denied)
        writer.text += "!"
        await writer.reads("Hello!")
        await has_text(record, "Hello!")
        assert watcher.close_code is None


async def test_a_lost_right_acts_on_open_documents(node: Node, world: World, record: Json) -> None:
    """Who may not write any more is denied from then on, who may not read is cut off, and so is a revoked session."""
    token = world.token(reader())
    async with peer(node, record, token).online() as one:
        await one.reads("Hello")
        world.readers.add(claims(token)["sub"])
        await world.change_role(token, reader(), reader())
        await eventually(_is_true(lambda: not any(c.opened.writable for c in connections(node, world))))
        one.text += "late"

        async def denied() -> bool:
            return bool(one.denied)

        await eventually(denied)
        world.refuse = Forbidden()
        await world.change_role(token, reader())

        async def closed() -> bool:
            return one.close_code == 4403

        await eventually(closed)
    world.refuse = None
    other = world.token()
    async with peer(node, record, other).online() as one:
        await one.reads("Hello")
        await world.revoke(other)

        async def ended() -> bool:
            return one.close_code == 4401

        await eventually(ended)
    assert record["data"]["notes"] == "Hello"


async def test_a_row_rule_acts_when_the_record_changes(node: Node, world: World, record: Json) -> None:
    """Where rules decide, a change of the record that hides it cuts its readers off."""
    world.ruled = True
    rule = {"field": "notes", "op": "ne", "value": "hidden"}
    async with peer(node, record, world.token(reader(row_rule=rule))).online() as one:
        await one.reads("Hello")
        await eventually(_is_true(lambda: world.opens == 2))
        record["hidden"] = True
        await world.update(record, {"notes": "hidden"})

        async def closed() -> bool:
            return one.close_code == 4404

        await eventually(closed)


@pytest.mark.parametrize(
    ("error", "code"), [(NotFound(), 4404), (Forbidden(), 4403), (Conflict(), 4400), (Unavailable(), 4503)]
)
async def test_who_may_not_open_is_told_and_closed(
    node: Node, world: World, record: Json, error: Any, code: int
) -> None:
    """A refusal is a denial in words and a close code: permanent ones from 4400, those that pass from 4500."""
    world.refuse = error
    async with peer(node, record, world.token()).online() as one:

        async def closed() -> bool:
            return one.close_code == code

        await eventually(closed)
        assert one.denied


async def test_another_tenants_document_is_not_there(node: Node, world: World, record: Json) -> None:
    """A stranger of another tenant finds no record, and opens nothing."""
    async with peer(node, record, world.token(tenant=new_id())).online() as one:

        async def closed() -> bool:
            return one.close_code == 4404

        await eventually(closed)
        assert str(one.text) == ""


@pytest.mark.parametrize(
    "message", [b"", b"\x09", b"\x00\x02\x05abc", b"\x00\x02\x03\xff\xff\xff", b"\x00\x00\x02\xff\xff"]
)
async def test_nonsense_ends_only_its_sender(node: Node, world: World, record: Json, message: bytes) -> None:
    """What is no message of the protocol, no update or no state closes the socket that sent it; others go on."""
    async with peer(node, record, world.token()).online() as good, peer(node, record, world.token()).online() as bad:
        await asyncio.gather(good.reads("Hello"), bad.reads("Hello"))
        await bad.say(message)

        async def closed() -> bool:
            return bad.close_code == 4400

        await eventually(closed)
        good.text += "!"
        await has_text(record, "Hello!")


async def test_a_document_has_bounds(settings: Settings, world: World, record: Json) -> None:
    """Beyond its size or number of clients a document takes no more, and says so."""
    small = msgspec.structs.replace(settings, max_document_bytes=3000, max_document_clients=2)
    async with (
        running_node(small) as node,
        peer(node, record, world.token()).online() as one,
        peer(node, record, world.token()).online() as two,
    ):
        await asyncio.gather(one.reads("Hello"), two.reads("Hello"))
        async with peer(node, record, world.token()).online() as third:

            async def refused() -> bool:
                return third.close_code == 4529

            await eventually(refused)
        two.text += "x" * 4000

        async def closed() -> bool:
            return two.close_code == 4413

        await eventually(closed)
        one.text += "!"
        await has_text(record, "Hello!")


async def test_awareness_goes_round(settings: Settings, world: World, record: Json) -> None:
    """Where somebody's cursor is comes to all, also across nodes and to newcomers, and goes when they go."""
    state = rules.awareness([rules.State(77, 1, '{"cursor":1}')])
    async with (
        running_node(settings) as here,
        running_node(settings) as there,
        peer(there, record, world.token()).online() as bob,
    ):
        await bob.reads("Hello")
        async with peer(here, record, world.token()).online() as ann:
            await ann.reads("Hello")
            await ann.say(state)

            async def heard() -> bool:
                return state in bob.awareness and state in ann.awareness

            await eventually(heard)
            async with peer(there, record, world.token()).online() as late:

                async def told() -> bool:
                    return any(b'"cursor"' in one for one in late.awareness)

                await eventually(told)
                await late.say(rules.awareness([rules.State(77, 9, '{"cursor":"forged"}')]))
        gone = rules.awareness([rules.State(77, 2, "null")])

        async def left() -> bool:
            return gone in bob.awareness

        await eventually(left)
        assert not any(b"forged" in one for one in ann.awareness)


async def test_another_ways_change_goes_into_the_document(node: Node, world: World, record: Json) -> None:
    """A PATCH of the field becomes an edit of the document: what is typed meanwhile stays, once."""
    async with peer(node, record, world.token()).online() as one:
        await one.reads("Hello")
        await world.update(record, {"notes": "Hello, dear world"})
        await one.reads("Hello, dear world")
        one.text += "!"
        await has_text(record, "Hello, dear world!")
        one.text.insert(0, ">")
        await world.update(record, {"notes": "Hello, world!"})
        await one.reads(">Hello, world!")
        await has_text(record, ">Hello, world!")


@pytest.mark.parametrize("why", [Unavailable(), Conflict(code="busy", retry_after=0.1)])
async def test_a_text_that_cannot_be_written_is_written_later(
    node: Node, world: World, record: Json, why: AppError
) -> None:
    """While records is away, or others are changing the record, the text waits, and comes soon; once, as the latest."""
    async with peer(node, record, world.token()).online() as one:
        await one.reads("Hello")
        world.away = why
        for number in (1, 2):
            one.text += str(number)
            before = world.refusals
            await eventually(_is_true(lambda before=before: world.refusals > before))
        world.away = None
        await has_text(record, "Hello12")


async def test_a_document_ends_with_its_record(node: Node, world: World, record: Json) -> None:
    """When the record is gone for good its document is too, and whoever has it open is told."""
    async with peer(node, record, world.token()).online() as one:
        await one.reads("Hello")
        del world.records[UUID(record["id"])]
        buried = {"id": record["id"], "pipeline_id": record["pipeline_id"]}
        await world.publish(world.tenant, "records.tombstone.created", record["id"], buried)

        async def closed() -> bool:
            return one.close_code == 4404

        await eventually(closed)


async def test_a_log_is_compacted(settings: Settings, world: World, record: Json, monkeypatch: Any) -> None:
    """After many updates one state stands in their place, and the text is what it was, also for who was offline."""
    monkeypatch.setattr("services.realtime.usecases.texts.COMPACT_UPDATES", 5)
    async with running_node(settings) as node:
        offline = peer(node, record, world.token())
        async with offline.online():
            await offline.reads("Hello")
        async with peer(node, record, world.token()).online() as one:
            await one.reads("Hello")
            for number in range(12):
                one.text += str(number)
                await has_text(record, str(one.text))
            offline.text.insert(0, "Oh! ")
            async with offline.online():
                await one.reads(f"Oh! Hello{''.join(map(str, range(12)))}")
                await offline.reads(str(one.text))
        await has_text(record, str(one.text))
