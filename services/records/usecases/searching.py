"""Search over all that a principal may see, and keeping the words of records that change."""

import base64
import binascii
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from libs.common.errors import Fault, Invalid
from libs.common.identity import Principal
from libs.common.ids import NIL, new_id
from libs.common.postgres import Connection
from services.records.domain.definitions import Definition
from services.records.domain.jobs import Job
from services.records.domain.languages import preferred, stem_of
from services.records.domain.permissions import Access
from services.records.domain.pipelines import Pipeline
from services.records.domain.reach import Reach
from services.records.domain.records import Change
from services.records.domain.searching import (
    MAX_QUERY,
    Question,
    distance,
    may_be_mistyped,
    most_typos,
    plain,
    question,
    scopes,
    shape_of,
)
from services.records.domain.snippets import Marker, Snippet
from services.records.storage import jobs, records, search
from services.records.storage.lanes import WORDS
from services.records.storage.search import START, Hit, Outdated, Place, Target
from services.records.usecases.ahead import beside
from services.records.usecases.caller import Caller
from services.records.usecases.running import Steps

MAX_LIMIT = 200
ENOUGH = 5
"""With so many found as typed, nothing that was perhaps meant is looked for."""
MAX_TYPOS = 20
MAX_COUNTED = 10_000
MAX_SLIPS = 2
REBUILD = "search"
_TURNS = 2


class Found(msgspec.Struct, frozen=True):
    """A record that was found, as it may be seen; a higher score is better. Snippets are HTML."""

    id: UUID
    pipeline_id: UUID
    title: str
    score: float
    snippets: list[Snippet]
    record: msgspec.Raw


class FoundPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page, the best first, and how many all pages have together where that was asked for."""

    items: list[Found]
    next_cursor: str | None
    count: int | None = None


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    stage: int
    rank: int
    id: UUID
    slips: int


class _Shown(msgspec.Struct, frozen=True):
    title: str
    data: dict[str, msgspec.Raw]


class SearchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for, where, and in which language, by default the asker's own."""

    q: str
    pipeline_id: UUID | None = None
    limit: int = 50
    cursor: str | None = None
    language: str | None = None
    counted: bool = False


async def find(caller: Caller, asked: SearchRequest) -> FoundPage:
    """One page of the records that have all the words, whole, begun or perhaps mistyped."""
    words = _checked(asked)
    cursor = None if asked.cursor is None else _decode(asked.cursor)
    reaches = await caller.reaches(asked.pipeline_id)
    targets = [target for reach in reaches if (target := _target(caller, reach)) is not None]
    if not words.words or not targets:
        return FoundPage([], None, 0 if asked.counted else None)
    language = asked.language or preferred(await caller.catalog.tongues.locale(caller.principal))

    async def work() -> FoundPage:
        async with caller.reads.turn(WORDS):
            told = await _inflect(caller, words, _tags(targets), language)
            page = await _page(caller, asked, told, targets, cursor)
            return page if not asked.counted else await _counted(caller, page, told, targets)

    return await caller.warmed(work)


def _checked(asked: SearchRequest) -> Question:
    faults = []
    if not 1 <= asked.limit <= MAX_LIMIT:
        faults.append(Fault("/limit", "out_of_range", f"'limit' is from 1 to {MAX_LIMIT}"))
    if not asked.q.strip():
        faults.append(Fault("/q", "required", "'q' is what to look for"))
    if len(asked.q) > MAX_QUERY:
        faults.append(Fault("/q", "too_long", f"At most {MAX_QUERY} characters are looked for"))
    if faults:
        raise Invalid(errors=faults)
    return question(asked.q)


def _target(caller: Caller, reach: Reach) -> Target | None:
    seen = scopes(reach.access("read"))
    shape = shape_of(caller.tenant_id, reach.pipeline)
    known = any(shape.tags(scope.mask) for scope in seen)
    return Target(reach.pipeline, shape, tuple(seen), reach) if known else None


async def _page(
    caller: Caller, asked: SearchRequest, words: Question, targets: Sequence[Target], cursor: _Cursor | None
) -> FoundPage:
    hits, words, slips = await _hits(caller, words, targets, cursor, asked.limit + 1)
    page = hits[: asked.limit]
    items = await _shown(caller, page, targets, words)
    return FoundPage(items, _encode(page[-1], slips) if len(hits) > asked.limit else None)


async def _counted(caller: Caller, page: FoundPage, words: Question, targets: Sequence[Target]) -> FoundPage:
    hits, _, _ = await _hits(caller, words, targets, None, MAX_COUNTED)
    return msgspec.structs.replace(page, count=len(hits))


async def _hits(
    caller: Caller, words: Question, targets: Sequence[Target], cursor: _Cursor | None, room: int
) -> tuple[list[Hit], Question, int]:
    """Up to so many hits and one more, what was looked for in the end, and by how many slips."""
    after: Place = START if cursor is None else (cursor.stage, cursor.rank, cursor.id)
    look = partial(search.search, caller.reads, caller.tenant_id)
    hits = await look(words, targets, caller.context, after, max(room, ENOUGH))
    slips = 0
    for most in _slips(cursor, len(hits)):
        slips, meant = most, await _correct(caller, words, _tags(targets), most)
        if meant.typos:
            words = meant
            hits += await look(words, targets, caller.context, after, max(1, room - len(hits)), slips=True)
        if hits:
            break
    return hits, words, slips


def _tags(targets: Iterable[Target]) -> list[str]:
    return list(dict.fromkeys(tag for it in targets for scope in it.scopes for tag in it.shape.tags(scope.mask)))


def _slips(cursor: _Cursor | None, found: int) -> Sequence[int]:
    """How many slips a word may have: one, and where nothing is found two; on further pages as many as on the first."""
    if cursor is not None:
        return [cursor.slips] if cursor.slips else []
    return [1, MAX_SLIPS] if found < ENOUGH else []


async def _inflect(caller: Caller, words: Question, tags: Sequence[str], language: str | None) -> Question:
    forms: dict[str, Mapping[str, Collection[str]]] = {}
    for word in words.distinct:
        stem = stem_of(word, language)
        if stem is not None:
            known = await search.inflected(caller.reads, caller.tenant_id, tags, stem.dictionary, word, stem.begin)
            forms |= {word: known} if known else {}
    return msgspec.structs.replace(words, forms=forms) if forms else words


async def _correct(caller: Caller, words: Question, tags: Sequence[str], most: int) -> Question:
    typos: dict[str, Mapping[str, Collection[str]]] = {}
    look_up = search.alike if most == 1 else search.similar
    for word in words.distinct:
        if may_be_mistyped(word) and most <= most_typos(word):
            known = await look_up(caller.reads, caller.tenant_id, tags, word)
            near = sorted((far, it) for it in known if 0 < (far := distance(word, it, most)) <= most)
            typos |= {word: {it: known[it] for _, it in near[:MAX_TYPOS]}} if near else {}
    return msgspec.structs.replace(words, typos=typos)


async def _shown(caller: Caller, hits: Sequence[Hit], targets: Iterable[Target], words: Question) -> list[Found]:
    known = {target.pipeline.id: target for target in targets}
    bodies = {hit.record_id: hit.body for hit in hits if hit.body is not None}
    closed: dict[Access, list[UUID]] = {}
    for hit in hits:
        if not known[hit.pipeline_id].open:
            closed.setdefault(known[hit.pipeline_id].reach.access("read"), []).append(hit.record_id)
    if closed:
        async with caller.reads.tenant(caller.tenant_id) as connection:
            bodies |= await records.bodies_among(connection, caller.tenant_id, closed, caller.context)
    marker = Marker(words)
    return [
        _found(hit, bodies[hit.record_id], known[hit.pipeline_id], marker) for hit in hits if hit.record_id in bodies
    ]


def _found(hit: Hit, body: str, target: Target, marker: Marker) -> Found:
    shown = msgspec.json.decode(body, type=_Shown)
    texts = ((part.name, shown.data[part.name]) for part in target.shape.parts if part.name in shown.data)
    marked = (marker.snippet(name, plain(msgspec.json.decode(raw))) for name, raw in texts)
    snippets = [it for it in marked if it is not None]
    score = round(4 - hit.stage - hit.rank / 1_000_000, 6)
    return Found(hit.record_id, hit.pipeline_id, shown.title, score, snippets, msgspec.Raw(body.encode()))


def _encode(hit: Hit, slips: int) -> str:
    packed = msgspec.msgpack.encode(_Cursor(hit.stage, hit.rank, hit.record_id, slips))
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def _decode(cursor: str) -> _Cursor:
    try:
        found = msgspec.msgpack.decode(base64.urlsafe_b64decode(cursor + "==="), type=_Cursor)
    except (ValueError, binascii.Error, msgspec.DecodeError):
        found = None
    if found is None or not (
        -1 <= found.stage <= 4 and -(2**31) <= found.rank < 2**31 and 0 <= found.slips <= MAX_SLIPS
    ):
        raise Invalid(errors=[Fault("/cursor", "invalid_cursor", "The cursor is not one of this list")])
    return found


async def keep(connection: Connection, tenant_id: UUID, pipeline: Pipeline, changes: Iterable[Change]) -> None:
    """Keeps the words of what was changed, in the transaction that changes it; of other pipelines only what goes."""
    last = {change.after.id: change for change in changes}
    shape = shape_of(tenant_id, pipeline)
    names = {part.name for part in shape.parts}
    gone = [record_id for record_id, change in last.items() if change.operation == "deleted"]
    own = (change for change in last.values() if change.after.pipeline_id == pipeline.id)
    await search.remove(connection, tenant_id, gone)
    saying = [change.after for change in own if _says_else(change, names)]
    send = partial(search.put_words, connection, tenant_id, pipeline.id, shape)
    await beside(saying, partial(search.words, shape), send)


async def keep_moved(
    connection: Connection, tenant_id: UUID, pipeline: Pipeline, moved: Iterable[tuple[UUID, str, dict[str, object]]]
) -> None:
    """Keeps the words of records, by id, title and data, whose values go by other names without being changed."""
    rows = [Outdated(*one) for one in moved]
    await search.put(connection, tenant_id, pipeline.id, shape_of(tenant_id, pipeline), rows)


def _says_else(change: Change, names: set[str]) -> bool:
    if change.operation == "deleted":
        return False
    if change.operation != "updated" or change.before is None:
        return True
    return change.before.title != change.after.title or not names.isdisjoint(change.changed)


async def rebuild(job: Job, steps: Steps) -> dict[str, Any]:
    """Keeps the words of a pipeline's records anew, because its searched fields are others than before."""
    assert job.pipeline_id is not None
    caller, pace = await steps.caller(), steps.pace()
    # What a process wrote before it heard of the change is seen the second time.
    while (turn := int(steps.job.checkpoint.get("turn", 0))) < _TURNS:
        pipeline = await caller.catalog.pipeline(caller.tenant_id, job.pipeline_id)
        shape = shape_of(caller.tenant_id, pipeline)
        after = UUID(str(steps.job.checkpoint.get("after", UUID(int=0))))
        async with pace.batch() as size, steps() as step:
            rows = await search.outdated(step.connection, caller.tenant_id, pipeline, shape, after, size)
            await search.put(step.connection, caller.tenant_id, pipeline.id, shape, rows)
            checkpoint = {"turn": turn, "after": str(rows[-1].id)} if rows else {"turn": turn + 1}
            step.advance(checkpoint, done=len(rows), updated=len(rows))
    return {"written": steps.job.done}


async def want_rebuild(connection: Connection, tenant_id: UUID, before: Definition | None, after: Definition) -> None:
    """Lets the words of a pipeline's records be kept anew where a change means that others are searched."""
    if before is None or before.deleted or after.deleted:
        return
    old, new = (shape_of(tenant_id, Pipeline(definition)) for definition in (before, after))
    if old.number != new.number:
        await jobs.insert(connection, _platform(tenant_id), new_id(), REBUILD, {}, after.id, None)


def _platform(tenant_id: UUID) -> Principal:
    """Who asks for what nobody asked for."""
    return Principal(
        tenant_id=tenant_id, id=NIL, kind="user", session_id=NIL, name="Millrace", roles=(), issued_at=0.0,
        expires_at=0.0,
    )  # fmt: skip
