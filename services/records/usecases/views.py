"""Lists by views: what a view asks for, joined with what the request asks for besides."""

import time
from uuid import UUID

import msgspec

from libs.common.errors import Fault, Invalid, NotFound, Unavailable
from libs.common.ids import parse_id
from services.records.domain.reach import Reach
from services.records.domain.views import View
from services.records.storage import views
from services.records.usecases.caller import Caller


class _Question(msgspec.Struct):
    tenant_id: UUID
    view_id: UUID


async def find(caller: Caller, pipeline_id: UUID, text: str) -> View:
    """A view that exists for the caller, as it was heard of; pipelines is asked for one that was not."""
    try:
        view_id = parse_id(text)
        view = await _known(caller, view_id)
    except NotFound:
        raise _unknown() from None
    if not view.exists_for(caller.principal.id, pipeline_id):
        raise _unknown()
    return view


async def _known(caller: Caller, view_id: UUID) -> View:
    known, called = caller.catalog.views.get(caller.tenant_id, view_id), time.monotonic()
    if known is not None:
        return known
    try:
        view = await caller.catalog.ask("rpc.pipelines.view", _Question(caller.tenant_id, view_id), View)
        return caller.catalog.views.remember(caller.tenant_id, view, called)
    except Unavailable:
        async with caller.database.tenant(caller.tenant_id) as connection:
            kept = await views.get(connection, caller.tenant_id, view_id)
        if kept is None:
            raise
        return kept


def shown_fields(view: View, reach: Reach) -> str | None:
    """The fields of a view that are there and may be seen, as `fields=` has them."""
    if view.fields is None:
        return None
    access = reach.access("read")
    return ",".join(name for name in view.fields if access.names(name))


def _unknown() -> Invalid:
    return Invalid(errors=[Fault("/view", "unknown_view", "There is no such view")])
