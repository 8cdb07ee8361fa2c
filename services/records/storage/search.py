"""The words of records, kept beside them, and looking for them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.filters import Context
from libs.common.postgres import Connection
from services.records.domain.pipelines import Pipeline
from services.records.domain.reach import Reach
from services.records.domain.records import Record
from services.records.domain.searching import Question, Scope, Shape, Words, document

SQL = sql.load(__file__)
MOST = 500
"""So many of each way of being found are ranked."""
MOST_FORGOTTEN = 20_000
TIMEOUT = "2000"

Place = tuple[int, int, UUID]
"""Where a page begins: after this stage, rank and record."""
START: Place = (-1, 0, UUID(int=0))


class Hit(msgspec.Struct, frozen=True):
    """A record that was found. Lower stages come first, and in each the lower (negative) rank."""

    record_id: UUID
    pipeline_id: UUID
    stage: int
    rank: int


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


async def put(
    connection: Connection, tenant_id: UUID, pipeline_id: UUID, shape: Shape, records: Sequence[Record | Outdated]
) -> None:
    """Keeps the words of records of one pipeline."""
    if not records:
        return
    kept = [document(shape, record.title, record.data) for record in records]
    ids, documents = [record.id for record in records], [words.document for words in kept]
    await connection.execute(SQL["put"], tenant_id, pipeline_id, shape.number, ids, documents)
    await _learn(connection, tenant_id, kept)


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


async def begin(connection: Connection) -> None:
    """Bounds what the transaction's searches may cost."""
    await connection.execute(SQL["bounds"], TIMEOUT)


async def similar(connection: Connection, tenant_id: UUID, tags: Collection[str], word: str) -> list[str]:
    """Words that are spelt like one."""
    return [row[0] for row in await connection.fetch(SQL["similar"], tenant_id, list(tags), word)]


async def inflected(
    connection: Connection, tenant_id: UUID, tags: Collection[str], dictionary: str, word: str, stem: str
) -> list[str]:
    """Words that have the stem of one."""
    rows = await connection.fetch(
        SQL["inflected"], tenant_id, list(tags), dictionary, word, stem, f"{stem}\U0010ffff"
    )  # fmt: skip
    return [row[0] for row in rows]


async def search(
    connection: Connection, tenant_id: UUID, question: Question, targets: Sequence[Target], context: Context,
    after: Place, limit: int,
) -> list[Hit]:  # fmt: skip
    """Up to so many of what was found, after a place."""
    text, params = statement(tenant_id, question, targets, context, after, limit)
    return [Hit(*row) for row in await connection.fetch(text, *params)]


def statement(
    tenant_id: UUID, question: Question, targets: Sequence[Target], context: Context, after: Place, limit: int
) -> tuple[str, list[object]]:
    """The select of a search, with its parameters."""
    ranks = {
        target.pipeline.id: question.beginning(_tags(target.scopes, target.shape), typos=True) for target in targets
    }
    params: list[object] = [tenant_id, list(ranks), list(ranks.values()), *after, limit]
    free = [(target, scope) for target in targets for scope in target.scopes if not scope.access.ruled]
    branches = _branches(question, _gathered(free), "", params) if free else []
    for target in targets:
        for scope in target.scopes:
            if scope.access.ruled:
                branches += _ruled(question, target.shape, scope, context, params)
    return SQL["search"].replace("{branches}", " union all ".join(branches)), params


def _tags(scopes: Iterable[Scope], shape: Shape) -> list[str]:
    return list(dict.fromkeys(tag for scope in scopes for tag in shape.tags(scope.mask)))


def _gathered(free: Sequence[tuple[Target, Scope]]) -> tuple[list[str], list[str]]:
    tags = [tag for target, scope in free for tag in target.shape.tags(scope.mask)]
    return tags, [tag for target, scope in free for tag in target.shape.title_tags(scope.mask)]


def _ruled(question: Question, shape: Shape, scope: Scope, context: Context, params: list[object]) -> list[str]:
    tags = shape.tags(scope.mask), shape.title_tags(scope.mask)
    params.append(scope.access.pipeline.id)
    place = f"${len(params)}"
    condition = scope.access.condition(params, context, using=scope.using(shape))
    return _branches(question, tags, _seen(place, condition), params)


def _seen(place: str, condition: str) -> str:
    return " " + SQL["seen"].replace("{place}", place).replace("{condition}", condition)


def _branches(question: Question, tags: tuple[list[str], list[str]], seen: str, params: list[object]) -> list[str]:
    own, title = tags
    stages: Mapping[int, str] = {
        0: question.as_title(title, prefix=False),
        1: question.exactly(own) if own else "",
        2: question.as_title(title, prefix=True),
        3: question.beginning(own, typos=False) if own else "",
        4: question.beginning(own, typos=True) if own and question.typos else "",
    }
    return [_branch(stage, query, seen, params) for stage, query in stages.items() if query]


def _branch(stage: int, query: str, seen: str, params: list[object]) -> str:
    params.append(query)
    parts = {"stage": str(stage), "seen": seen, "query": f"${len(params)}", "most": str(MOST)}
    text = SQL["branch"]
    for name, value in parts.items():
        text = text.replace(f"{{{name}}}", value)
    return text


async def outdated(
    connection: Connection, tenant_id: UUID, pipeline: Pipeline, shape: Shape, after: UUID, limit: int
) -> list[Outdated]:
    """Records whose words are to be kept anew, and which nobody changes meanwhile."""
    text = SQL["outdated"].replace("{data}", pipeline.data("r"))
    rows = await connection.fetch(text, tenant_id, pipeline.id, after, shape.number, limit)
    found = ((row[0], msgspec.json.decode(row[1])) for row in rows)
    return [Outdated(record_id, pipeline.title(data), data) for record_id, data in found]
