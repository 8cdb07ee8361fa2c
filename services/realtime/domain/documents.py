"""Shared documents: Yjs updates, what they mean, and the messages of y-protocols (sync, auth, awareness).

The text of a document is its shared text `content`. Whoever connects with another root has a document all the same, of
which nothing is written into the record.
"""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from uuid import UUID

import msgspec
from pycrdt import Decoder, Doc, Encoder, Text, create_sync_message, create_update_message, merge_updates
from pycrdt import create_awareness_message as awareness_message

from libs.common.errors import AppError, Invalid, Malformed
from libs.common.identity import Actor

ROOT = "content"
NOTHING = b"\x00\x00"
"""The update that changes nothing."""
SYNC, AWARENESS, AUTH, QUERY_AWARENESS = 0, 1, 2, 3
STEP_1, STEP_2, UPDATE = 0, 1, 2
MAX_COMPARED = 20_000
"""Characters that differ in the middle of two texts; beyond, the whole middle is replaced."""
FIRST_CLIENT = 1
"""Who wrote the text that a document begins with: nobody's random id."""


class Editor(msgspec.Struct, frozen=True):
    """Who edited a document, as records needs to know to write its text; `actor` is who acted in their name."""

    id: UUID
    kind: str
    name: str
    roles: tuple[UUID, ...]
    actor: Actor | None = None


class State(msgspec.Struct, frozen=True):
    """What somebody says in awareness; `state` is JSON text, `null` of one who has left."""

    client: int
    clock: int
    state: str


def begin(text: str) -> bytes:
    """The first update of a document with a text; the same for all who make it."""
    doc: Doc[Text] = Doc(client_id=FIRST_CLIENT)
    doc[ROOT] = Text(text)
    return doc.get_update()


@contextmanager
def _sound(error: AppError) -> Iterator[None]:
    """Raises an error in the place of what the library makes of bytes that were made to break it: some of that are
    panics, which are no Exceptions and would end whoever does not expect them.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as broken:
        raise error from broken


def _broken() -> AppError:
    return Invalid("The document cannot be read", code="document-broken")


def build(updates: Iterable[bytes]) -> "Doc[Text]":
    """The document that updates make; raises Invalid where they make none."""
    doc: Doc[Text] = Doc()
    doc[ROOT] = Text()
    for update in updates:
        apply(doc, update)
    return doc


def apply(doc: "Doc[Text]", update: bytes) -> None:
    """Applies an update that was found to fit; raises Invalid where it breaks the document all the same."""
    with _sound(_broken()):
        doc.apply_update(update)


def fits(present: bytes, update: bytes) -> None:
    """Raises Malformed unless a document takes an update, has a text then, and can be told and read again."""
    with _sound(Malformed("This is not an update of this document", code="invalid-update")):
        doc = build([present, update])
        text_of(doc).encode()
        build([doc.get_update()])


def text_of(doc: "Doc[Text]") -> str:
    """The text of a document, without what records does not take."""
    return str(doc[ROOT]).replace("\0", "")


def compact(updates: Iterable[bytes]) -> bytes:
    """One update in the place of many, without what was deleted."""
    doc = build(updates)
    with _sound(_broken()):
        return doc.get_update()


def join(updates: list[bytes]) -> bytes:
    """One update in the place of some; raises Malformed where they cannot be joined."""
    with _sound(Malformed("These are not Yjs updates", code="invalid-update")):
        return updates[0] if len(updates) == 1 else merge_updates(*updates)


def edit(updates: Iterable[bytes], new: str) -> bytes | None:
    """The update that gives a document, as it was then, the text that somebody wrote elsewhere; None where it has it.

    What was edited meanwhile stays, as what is edited at once.
    """
    with _sound(_broken()):
        return _edited(build(updates), new)


def _edited(doc: "Doc[Text]", new: str) -> bytes | None:
    before, old = doc.get_state(), str(doc[ROOT])
    if old == new:
        return None
    with doc.transaction():
        text = doc[ROOT]
        for start, end, inserted in reversed(list(_differences(old, new))):
            place, stop = len(old[:start].encode()), len(old[:end].encode())
            if stop > place:
                del text[place:stop]
            if inserted:
                text.insert(place, inserted)
    return doc.get_update(before)


def _differences(old: str, new: str) -> Iterator[tuple[int, int, str]]:
    """The places of an old text that are replaced, and by what, in order."""
    start = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    rest = min(len(old), len(new)) - start
    end = next((i for i in range(rest) if old[-1 - i] != new[-1 - i]), rest)
    a, b = old[start : len(old) - end], new[start : len(new) - end]
    if len(a) + len(b) > MAX_COMPARED:
        yield start, start + len(a), b
        return
    for kind, a1, a2, b1, b2 in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if kind != "equal":
            yield start + a1, start + a2, b[b1:b2]


def check(update: bytes) -> None:
    """Raises Malformed unless it is an update."""
    with _sound(Malformed("This is not a Yjs update", code="invalid-update")):
        Doc().apply_update(update)


def difference(doc: "Doc[Text]", state: bytes) -> bytes:
    """What somebody with a state vector lacks; raises Malformed where that is none."""
    with _sound(Malformed("This is not a state vector", code="invalid-state")):
        return doc.get_update(state)


def is_news(doc: "Doc[Text]", update: bytes) -> bool:
    """Whether an update has anything that a document lacks. Clients that come back say again what they deleted."""
    with _sound(Malformed("This is not an update of this document", code="invalid-update")):
        present = doc.get_update()
        return build([present, update]).get_update() != build([present]).get_update()


def step_1(doc: "Doc[Text]") -> bytes:
    """The message that asks for what the server lacks."""
    return create_sync_message(doc)


def step_2(update: bytes) -> bytes:
    """The message that brings what a client lacked."""
    return bytes((SYNC, STEP_2)) + _framed(update)


def updated(update: bytes) -> bytes:
    """The message of a change."""
    return create_update_message(update)


def denied(reason: str) -> bytes:
    """The message that something is not allowed."""
    return bytes((AUTH, 0)) + _framed(reason.encode())


def awareness(states: Iterable[State]) -> bytes:
    """The message of who is there, and where."""
    every, encoder = list(states), Encoder()
    encoder.write_var_uint(len(every))
    for one in every:
        encoder.write_var_uint(one.client)
        encoder.write_var_uint(one.clock)
        encoder.stream.append(_framed(one.state.encode()))
    return awareness_message(encoder.to_bytes())


def read(message: bytes) -> tuple[int, int, bytes]:
    """The kind of a message, of a sync message its step, and what it brings; raises Malformed."""
    decoder = Decoder(message)
    try:
        kind = decoder.read_var_uint()
        step = decoder.read_var_uint() if kind == SYNC else 0
        content = b"" if kind == QUERY_AWARENESS else _content(decoder)
    except (IndexError, RuntimeError) as error:
        raise Malformed("This is not a message of the Yjs protocols", code="invalid-message") from error
    if kind not in (SYNC, AWARENESS, QUERY_AWARENESS) or step not in (STEP_1, STEP_2, UPDATE):
        raise Malformed("This is not a message of the Yjs protocols", code="invalid-message")
    return kind, step, content


def read_awareness(content: bytes, most: int) -> list[State]:
    """The states of an awareness message; raises Malformed, also where there are too many."""
    decoder = Decoder(content)
    try:
        count = decoder.read_var_uint()
        if count > most:
            raise Malformed(f"At most {most} clients speak through one socket", code="too-many-clients")
        states = [
            State(decoder.read_var_uint(), decoder.read_var_uint(), _content(decoder).decode()) for _ in range(count)
        ]
        for one in states:
            msgspec.json.decode(one.state)
    except (IndexError, RuntimeError, UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise Malformed("This is not an awareness message", code="invalid-message") from error
    return states


def _content(decoder: Decoder) -> bytes:
    length = decoder.read_var_uint()
    if length > decoder.length:
        raise IndexError
    content = decoder.stream[decoder.i0 : decoder.i0 + length]
    decoder.i0 += length
    decoder.length -= length
    return bytes(content)


def _framed(content: bytes) -> bytes:
    encoder = Encoder()
    encoder.write_var_uint(len(content))
    return encoder.to_bytes() + content
