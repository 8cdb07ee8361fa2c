"""The words of records, kept beside them, and looking for them."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any
from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.filters import Context
from libs.common.postgres import Connection, Database, Lane
from services.records.domain.pipelines import Pipeline
from services.records.domain.reach import Reach
from services.records.domain.records import Record
from services.records.domain.searching import Question, Scope, Shape, Words, document, halves, swaps
from services.records.storage import records
from services.records.storage.lanes import STEADY, WORDS

SQL = sql.load(__file__)
MOST = 500
"""So many of each way of being found are ranked."""
MOST_FORGOTTEN = 20_000
LAST = "\U0010ffff"
"""Behind a beginning, what comes after all that begins so."""

Known = dict[str, list[str]]
"""Words, each with the tags of the fields that have it."""
Place = tuple[int, int, UUID]
"""Where a page begins: after this stage, rank and record."""
START: Place = (-1, 0, UUID(int=0))


class Hit(msgspec.Struct, frozen=True):
    """A record that was found. Lower stages come first, and in each the lower (negative) rank.

    Its body comes with it where its target is `open` and it was not taken away meanwhile.
    """

    record_id: UUID
    pipeline_id: UUID
    stage: int
    rank: int
    body: str | None


class Outdated(msgspec.Struct, frozen=True):
    """A record whose words are to be kept anew."""

    id: UUID
    title: str
    data: dict[str, Any]


class Target(msgspec.Struct, frozen=True):
    """What is searched within one statement: a pipeline, its shape, and what may be read together."""

    pipeline: Pipeline
    shape: Shape
    scopes: tuple[Scope, ...]
    reach: Reach

    @property
    def open(self) -> bool:
        """Whether everything in it may be seen as it is stored."""
        return records.is_open(self.reach.access("read"))


async def put(
    connection: Connection, tenant_id: UUID, pipeline_id: UUID, shape: Shape, records: Sequence[Record | Outdated]
) -> None:
    """Keeps the words of records of one pipeline."""
    await put_words(connection, tenant_id, pipeline_id, shape, words(shape, records))


def words(shape: Shape, records: Sequence[Record | Outdated]) -> list[tuple[UUID, Words]]:
    """What is to be kept of records of one pipeline, by their ids."""
    return [(record.id, document(shape, record.title, record.data)) for record in records]


async def put_words(
    connection: Connection, tenant_id: UUID, pipeline_id: UUID, shape: Shape, kept: Sequence[tuple[UUID, Words]]
) -> None:
    """Keeps words of records of one pipeline."""
    if not kept:
        return
    ids, documents = [record_id for record_id, _ in kept], [said.document for _, said in kept]
    await connection.execute(SQL["put"], tenant_id, pipeline_id, shape.number, ids, documents)
    await _learn(connection, tenant_id, [said for _, said in kept])


async def _learn(connection: Connection, tenant_id: UUID, kept: Iterable[Words]) -> None:
    new = sorted(frozenset().union(*(words.learned for words in kept)))
    if new:
        await connection.execute(SQL["learn"], tenant_id, [tag for tag, _ in new], [word for _, word in new])


async def remove(connection: Connection, tenant_id: UUID, ids: Collection[UUID]) -> None:
    """Lets records be found no more, and forgets the words that only they had."""
    if ids:
        said = [row[0] for row in await connection.fetch(SQL["remove"], tenant_id, list(ids), MOST_FORGOTTEN)]
        if said:
            await connection.execute(SQL["unlearn"], tenant_id, said)


async def alike(database: Database, tenant_id: UUID, tags: Collection[str], word: str) -> Known:
    """Words that are one slip away, each with its tags."""
    begin, end = halves(word)
    middle, backwards, swapped = len(begin), end[::-1], swaps(word)
    return await _known(
        database, STEADY, tenant_id, SQL["alike"], list(tags), word, begin, begin + LAST,
        backwards, backwards + LAST, swapped[middle - 1], swapped,
    )  # fmt: skip


async def similar(database: Database, tenant_id: UUID, tags: Collection[str], word: str) -> Known:
    """Words that are spelt like one, each with its tags."""
    return await _known(database, WORDS, tenant_id, SQL["similar"], list(tags), word)


async def inflected(
    database: Database, tenant_id: UUID, tags: Collection[str], dictionary: str, word: str, begin: str
) -> Known:
    """Words that have the stem of one and do not begin with it, each with its tags."""
    asked = list(tags), dictionary, word, begin, LAST
    return await _known(database, STEADY, tenant_id, SQL["inflected"], *asked)


async def _known(database: Database, lane: Lane, tenant_id: UUID, text: str, *params: object) -> Known:
    found: dict[str, list[str]] = {}
    for word, tag in await database.look_through(tenant_id, text, *params, lane=lane):
        found.setdefault(word, []).append(tag)
    return found


async def search(
    database: Database, tenant_id: UUID, question: Question, targets: Sequence[Target], context: Context,
    after: Place, limit: int, *, slips: bool = False,
) -> list[Hit]:  # fmt: skip
    """Up to so many of what was found as it was typed, or only because of `slips`, after a place."""
    text, params = statement(question, targets, context, after, limit, slips=slips)
    return [Hit(*row) for row in await database.look_through(tenant_id, text, *params, lane=WORDS)]


Part = list[tuple[Target, Scope]]
"""What is asked for at once: all that needs no rule, or a scope with rules."""


def statement(
    question: Question, targets: Sequence[Target], context: Context, after: Place, limit: int, *, slips: bool = False
) -> tuple[str, list[object]]:
    """The select of a search for `Database.look_through`, with its parameters after the tenant.

    What is found is ranked by what its own part of it may read.
    """
    parts = _parts(targets)
    asked = [(number, target, scope) for number, part in enumerate(parts) for target, scope in part]
    queries = [(_slips if slips else _queries)(question, *_tags([(target, scope)])) for _, target, scope in asked]
    params: list[object] = [
        None, *after, limit, [target.pipeline.id for target in targets if target.open],
        [number for number, _, _ in asked], [target.pipeline.id for _, target, _ in asked],
        *map(list, zip(*queries, strict=True)),
    ]  # fmt: skip
    name = "mistyped" if slips else "typed"
    found = [_found(name, number, part, question, context, params) for number, part in enumerate(parts)]
    documents, ranked = (", ".join(it[0] for it in found), " union all ".join(it[1] for it in found))
    page = _fill("page", body=records.OPEN)
    return _fill(name, documents=documents, ranked=ranked, page=page), params[1:]


def _parts(targets: Iterable[Target]) -> list[Part]:
    scopes = [(target, scope) for target in targets for scope in target.scopes]
    free = [one for one in scopes if not one[1].access.ruled]
    return [*([free] if free else []), *([one] for one in scopes if one[1].access.ruled)]


def _tags(part: Part) -> tuple[tuple[str, ...], tuple[str, ...]]:
    tags = tuple([tag for target, scope in part for tag in target.shape.tags(scope.mask)])
    return tags, tuple([tag for target, scope in part for tag in target.shape.title_tags(scope.mask)])


def _queries(question: Question, tags: tuple[str, ...], titles: tuple[str, ...]) -> tuple[str | None, ...]:
    """What finds documents, and tells how well: begun, exact, the whole title, and begun as a title."""
    title, titled = question.as_title(titles, prefix=False), question.as_title(titles, prefix=True)
    return question.beginning(tags) or None, question.exactly(tags) or None, title or None, titled or None


def _slips(question: Question, tags: tuple[str, ...], titles: tuple[str, ...]) -> tuple[str | None, ...]:
    """What finds documents because of slips, and what finds them without."""
    begun, _, _, titled = _queries(question, tags, titles)
    return question.mistyped(tags) or None, _either(begun, titled)


def _either(*queries: str | None) -> str | None:
    return " | ".join(f"({query})" for query in queries if query) or None


def _found(
    name: str, number: int, part: Part, question: Question, context: Context, params: list[object]
) -> tuple[str, str]:
    """SQL for the documents that a part of what is asked for finds, and for how they rank."""
    tags, titles = _tags(part)
    begun, exact, title, titled = _queries(question, tags, titles)
    queries = {"begun": _either(begun, titled), "exact": _either(exact, title), "titled": titled}
    if name == "mistyped":
        queries = {"slips": question.only_mistyped(tags) or None}
    seen = _seen(part[0][0].shape, part[0][1], context, params) if part[0][1].access.ruled else ""
    place = {"number": str(number), "most": str(MOST)}
    cut = " " + _fill("cut", **place)
    documents = {
        query: _documents(seen, text, cut if query in ("exact", "titled") else "", params)
        for query, text in queries.items()
    }
    return _fill(f"{name}_documents", **documents, **place), _fill(f"{name}_ranked", **place)


def _documents(seen: str, query: str | None, where: str, params: list[object]) -> str:
    params.append(query)
    return _fill("documents", seen=seen, query=f"${len(params)}", where=where, most=str(MOST))


def _seen(shape: Shape, scope: Scope, context: Context, params: list[object]) -> str:
    params.append(scope.access.pipeline.id)
    place = f"${len(params)}"
    return " " + _fill("seen", place=place, condition=scope.access.condition(params, context, using=scope.using(shape)))


def _fill(name: str, **parts: str) -> str:
    text = SQL[name]
    for part, value in parts.items():
        text = text.replace(f"{{{part}}}", value)
    return text


async def outdated(
    connection: Connection, tenant_id: UUID, pipeline: Pipeline, shape: Shape, after: UUID, limit: int
) -> list[Outdated]:
    """Records whose words are to be kept anew, and which nobody changes meanwhile."""
    text = SQL["outdated"].replace("{data}", pipeline.data("r"))
    rows = await connection.fetch(text, tenant_id, pipeline.id, after, shape.number, limit)
    found = ((row[0], msgspec.json.decode(row[1])) for row in rows)
    return [Outdated(record_id, pipeline.title(data), data) for record_id, data in found]
