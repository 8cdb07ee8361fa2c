from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery, HeaderParameter
from litestar.response import Stream

from libs.common.errors import AppError, Fault, Forbidden, Invalid
from libs.common.identity import Principal
from libs.common.ids import parse_id
from libs.common.networks import address_of
from libs.common.pages import DEFAULT_LIMIT, check_limit
from libs.common.permissions import Permissions
from services.realtime.usecases import waiting
from services.realtime.usecases.changes import ChangePage, Reader
from services.realtime.usecases.groups import READ, RECORDS
from services.realtime.usecases.live import Live
from services.realtime.usecases.waiting import STREAM_PAGE, Waiter

MAX_WAIT = 25.0
EVENT_STREAM = "text/event-stream"
_encode = msgspec.json.Encoder().encode


@get("/changes", summary="List changes")
async def list_changes(
    request: Request[Any, Any, Any],
    live: NamedDependency[Live],
    principal: NamedDependency[Principal],
    permissions: NamedDependency[Permissions],
    since: FromQuery[int | None] = None,
    cursor: FromQuery[str | None] = None,
    pipeline_id: FromQuery[str | None] = None,
    limit: FromQuery[int] = DEFAULT_LIMIT,
    wait: FromQuery[float] = 0.0,
) -> ChangePage:
    """Lists the changes of records after a position that the caller may see, oldest first.

    `since` is the `next_since` of an earlier page, or the `Change-Seq` of a read; `cursor` is a page's `next_cursor`.
    A page may have fewer items than `limit` although `has_more` is true. Too old a position is 410: read anew.
    With `wait` an empty page is answered only after so many seconds (25 at most), or as soon as something happens.
    """
    reader = _reader(live, principal, permissions, pipeline_id)
    position, limit = _position(since, cursor), check_limit(limit)
    if not 0 <= wait <= MAX_WAIT:
        raise Invalid(errors=[Fault("/wait", "out_of_range", f"'wait' is from 0 to {MAX_WAIT:g} seconds")])
    if not wait:
        return await reader.page(position, limit)
    waiter = Waiter(principal, permissions, reader, address_of(request.scope))
    return await waiting.poll(live, waiter, reader, position, limit, wait)


@get(
    "/changes/stream",
    summary="Follow changes",
    responses={200: ResponseSpec(str, description="Server-sent events", media_type=EVENT_STREAM)},
)
async def follow_changes(
    request: Request[Any, Any, Any],
    live: NamedDependency[Live],
    principal: NamedDependency[Principal],
    permissions: NamedDependency[Permissions],
    since: FromQuery[int | None] = None,
    pipeline_id: FromQuery[str | None] = None,
    last_event_id: Annotated[str | None, HeaderParameter(name="Last-Event-ID")] = None,
) -> Stream:
    """The same changes as server-sent events, for as long as the client listens and the token holds.

    An event's `id` is its position, its type `record_created` and so on, its data an item of the list. After a break
    `Last-Event-ID` (or else `since`) goes on from there; without either it begins now. An `end` says why it ended.
    """
    reader = _reader(live, principal, permissions, pipeline_id)
    if last_event_id:
        position = _position(None, last_event_id, "/Last-Event-ID")
    else:
        position = live.bus.position if since is None else _position(since, None)
    first = await reader.page(position, STREAM_PAGE)
    pages = waiting.follow(live, Waiter(principal, permissions, reader, address_of(request.scope)), reader, first)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return Stream(_events(pages), media_type=EVENT_STREAM, headers=headers)


async def _events(pages: AsyncIterator[ChangePage | AppError]) -> AsyncIterator[bytes]:
    yield b"retry: 2000\n\n"
    async for page in pages:
        if isinstance(page, AppError):
            data = _encode({"code": page.code, "detail": page.detail, **page.extra})
            yield b"event: end\ndata: %b\n\n" % data
            return
        for item in page.items:
            yield b"id: %d\nevent: %b\ndata: %b\n\n" % (item.seq, item.type.encode(), _encode(item))
        yield b"id: %d\n\n" % page.next_since


def _reader(live: Live, principal: Principal, permissions: Permissions, pipeline_id: str | None) -> Reader:
    if not any(grant.covers(READ, RECORDS, grant.pipeline_id) for grant in permissions.grants):
        raise Forbidden("'read' on 'records' needs a grant that none of your roles gives")
    pipeline = parse_id(pipeline_id) if pipeline_id else None
    return Reader(live.bus, live.definitions, principal, permissions, pipeline)


def _position(since: int | None, cursor: str | None, pointer: str = "/cursor") -> int:
    if cursor is not None:
        if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 20):
            raise Invalid(errors=[Fault(pointer, "invalid_cursor", "The cursor is not one of this list")])
        return int(cursor)
    if since is None:
        raise Invalid(errors=[Fault("/since", "required", "'since' is required: a position such as Change-Seq")])
    if not 0 <= since < 2**63:
        raise Invalid(errors=[Fault("/since", "out_of_range", "'since' is a position in the stream")])
    return since
