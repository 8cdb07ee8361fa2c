"""Read records: one, a list, the trash; as JSON text that PostgreSQL wrote."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

import msgspec

from libs.common import filters
from libs.common.errors import Fault, Invalid, NotFound, Unavailable
from libs.common.filters import COLUMNS, Node, Sort
from services.records.domain.expansion import Tree, branches, parse_expand
from services.records.domain.permissions import Fields
from services.records.domain.reach import Reach, fields_used, shown_by
from services.records.domain.views import View
from services.records.storage import listing, records
from services.records.storage.listing import Query
from services.records.usecases import views
from services.records.usecases.caller import Caller
from services.records.usecases.expand import Row, expanded


class ListRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a list is asked for; `pairs` is the query string, which holds the filter."""

    pairs: Sequence[tuple[str, str]] = ()
    sort: str | None = None
    limit: int = 50
    cursor: str | None = None
    fields: str | None = None
    expand: str | None = None
    count: str = "none"
    view: str | None = None
    trashed: bool = False


class Page(msgspec.Struct, frozen=True):
    """The bodies of one page, the cursor of the next, and how many there are where that was asked for. Bodies that were
    read together are one text, with commas between them.
    """

    bodies: list[str]
    next_cursor: str | None
    count: int | None = None


async def get(
    caller: Caller, pipeline_id: UUID, record_id: UUID, fields: str | None = None, expand: str | None = None
) -> tuple[int, str]:
    """Version and body of a record."""
    reach = await caller.reach(pipeline_id)
    if fields is None and expand is None:
        return await plain(caller, reach, record_id)

    async def work(reach: Reach) -> tuple[int, str]:
        access, only, tree = reach.access("read"), only_fields(reach, fields), parse_expand(expand, reach.schema)
        async with caller.reads.tenant(caller.tenant_id) as connection:
            found = await records.get(connection, caller.tenant_id, record_id, access, caller.context, only)
            if found is None:
                raise NotFound("There is no such record")
            links = await records.bodies(
                connection, caller.tenant_id, [record_id], access, caller.context, only, frozenset(tree)
            )
            row = Row(record_id, found[1], links[record_id][1])
            return found[0], (await expanded(caller, reach, connection, access, tree, [row]))[0]

    return await caller.settled(pipeline_id, work)


async def plain(caller: Caller, reach: Reach, record_id: UUID) -> tuple[int, str]:
    """Version and body of a record with nothing more: the hottest of all ways."""
    access = reach.access("read")
    found = await records.look_up(caller.reads, caller.tenant_id, record_id, access, caller.context)
    if found is None:
        raise NotFound("There is no such record")
    return found


async def list_records(caller: Caller, pipeline_id: UUID, asked: ListRequest) -> Page:
    """One page of the records that may be seen."""
    view = None if asked.view is None else await views.find(caller, pipeline_id, asked.view)

    async def work(reach: Reach) -> Page:
        query, tree = compile_query(caller, reach, asked, view)
        single = branches(tree, query.access, reach)
        with hinting(query):
            if single is None:
                page = await _page_of_many(caller, reach, query, tree)
            else:
                page = await _page(caller, msgspec.structs.replace(query, branches=single))
            return page if asked.count == "none" else await _counted(caller, query, page, asked.count)

    return await caller.settled(pipeline_id, work)


@contextmanager
def hinting(query: Query) -> Iterator[None]:
    """Tells of a question that took too long which of the fields it looks at have no index."""
    try:
        yield
    except Unavailable as error:
        fields = query.access.pipeline.fields
        slow = [name for name in sorted(query.using) if name in fields and not fields[name].indexed]
        if error.code != "statement-timeout" or not slow:
            raise
        names = ", ".join(f"'{name}'" for name in slow)
        detail = f"The records could not be found in time: {names} has no index. Make it `indexed`, or ask for less"
        raise Unavailable(detail, code=error.code, retry_after=error.retry_after) from error


def compile_query(caller: Caller, reach: Reach, asked: ListRequest, view: View | None = None) -> tuple[Query, Tree]:
    """The query of a list, or every fault of it; a view adds its filter, and its order and fields if none are given."""
    access = reach.require("read")
    if not 1 <= asked.limit <= listing.MAX_LIMIT:
        raise Invalid(errors=[Fault("/limit", "out_of_range", f"'limit' is from 1 to {listing.MAX_LIMIT}")])
    if asked.count not in ("none", "estimated", "exact"):
        raise Invalid(errors=[Fault("/count", "invalid_option", "'count' is none, estimated or exact")])
    node = filters.parse_query(asked.pairs, reach.schema)
    if view is not None and view.filter is not None:
        kept = filters.parse_tree(view.filter, reach.schema, "/view/filter")
        node = kept if node is None else filters.And((kept, node))
    order, shown = asked.sort, asked.fields
    if view is not None:
        order, shown = order or view.order, shown if shown is not None else views.shown_fields(view, reach)
    sort = filters.parse_sort(order, reach.schema)
    tree = parse_expand(asked.expand, reach.schema)
    binding = sort.binding(node, f"{reach.pipeline.id} {asked.trashed}")
    after = sort.decode(asked.cursor, binding) if asked.cursor else None
    query = Query(
        access=access,
        schema=reach.schema,
        context=caller.context,
        node=node,
        sort=sort,
        using=using(reach, node, sort),
        after=after,
        binding=binding,
        limit=asked.limit,
        only=only_fields(reach, shown),
        trashed=asked.trashed,
    )
    return query, tree


def using(reach: Reach, node: Node | None, sort: Sort | None = None) -> frozenset[str]:
    """The fields of data that a list looks at, and which must therefore be visible in its rows."""
    keys = frozenset(key.field.name for key in sort.keys) if sort else frozenset()
    return shown_by(reach.pipeline, fields_used(node) | keys)


def only_fields(reach: Reach, text: str | None) -> Fields:
    """The fields that `fields=` names."""
    if text is None:
        return None
    names = [part.strip() for part in text.split(",") if part.strip()]
    unknown = [name for name in names if name not in COLUMNS and not reach.access("read").names(name)]
    if unknown:
        raise Invalid(errors=[Fault("/fields", "unknown_field", f"There is no field '{name}'") for name in unknown])
    return frozenset(name for name in names if name not in COLUMNS)


async def _page(caller: Caller, query: Query) -> Page:
    """A page in one statement, with what relations to one record lead to."""
    found = await listing.written(caller.reads, caller.tenant_id, query)
    cursor = None if found.cursor_key is None else query.sort.encode(found.cursor_key, query.binding)
    return Page([found.items], cursor)


async def _page_of_many(caller: Caller, reach: Reach, query: Query, tree: Tree) -> Page:
    """A page with relations to several records, which are read once however many hold them."""
    query = msgspec.structs.replace(query, links=frozenset(tree))
    async with caller.reads.tenant(caller.tenant_id) as connection:
        rows = await listing.page(connection, caller.tenant_id, query)
        shown, more = rows[: query.limit], len(rows) > query.limit
        linked = [Row(row.id, row.body, row.links) for row in shown]
        bodies = await expanded(caller, reach, connection, query.access, tree, linked)
    return Page(bodies, query.sort.encode(shown[-1].cursor_key, query.binding) if more else None)


async def _counted(caller: Caller, query: Query, page: Page, kind: str) -> Page:
    async with caller.reads.tenant(caller.tenant_id) as connection:
        count = await listing.count(connection, caller.tenant_id, query, exact=kind == "exact")
    return msgspec.structs.replace(page, count=count)
