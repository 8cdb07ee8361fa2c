from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from libs.common.errors import Fault, Forbidden, Invalid
from libs.common.identity import Principal
from libs.common.ids import parse_id
from libs.common.pages import DEFAULT_LIMIT, check_limit
from libs.common.permissions import Permissions
from services.realtime.usecases.changes import ChangePage, Reader
from services.realtime.usecases.groups import READ, RECORDS
from services.realtime.usecases.live import Live


@get("/changes")
async def list_changes(
    live: NamedDependency[Live],
    principal: NamedDependency[Principal],
    permissions: NamedDependency[Permissions],
    since: FromQuery[int | None] = None,
    cursor: FromQuery[str | None] = None,
    pipeline_id: FromQuery[str | None] = None,
    limit: FromQuery[int] = DEFAULT_LIMIT,
) -> ChangePage:
    """Lists the changes of records after a position that the caller may see, oldest first.

    `since` is the `next_since` of an earlier page, or the `Change-Seq` of a read; `cursor` is a page's `next_cursor`.
    A page may have fewer items than `limit` although `has_more` is true. Too old a position is 410: read anew.
    """
    if not any(grant.covers(READ, RECORDS, grant.pipeline_id) for grant in permissions.grants):
        raise Forbidden("'read' on 'records' needs a grant that none of your roles gives")
    position = _position(since, cursor)
    pipeline = parse_id(pipeline_id) if pipeline_id else None
    reader = Reader(live.bus, live.definitions, principal, permissions)
    return await reader.page(position, check_limit(limit), pipeline)


def _position(since: int | None, cursor: str | None) -> int:
    if cursor is not None:
        if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 20):
            raise Invalid(errors=[Fault("/cursor", "invalid_cursor", "The cursor is not one of this list")])
        return int(cursor)
    if since is None:
        raise Invalid(errors=[Fault("/since", "required", "'since' is required: a position such as Change-Seq")])
    if not 0 <= since < 2**63:
        raise Invalid(errors=[Fault("/since", "out_of_range", "'since' is a position in the stream")])
    return since
