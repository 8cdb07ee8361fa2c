"""`/admin/audit-log`: what was done that matters for security."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
from litestar import Controller, get
from litestar.datastructures import CacheControlHeader
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Stream

from libs.common import pages
from libs.common.identity import Principal
from libs.common.pages import Count, Page
from libs.common.permissions import Permissions
from services.auth.domain.audit import Entry, Filters, Kept, Party
from services.auth.routes.shapes import id_parameter, time_parameter
from services.auth.usecases.audit import NEWEST
from services.auth.usecases.context import Context

Text = FromQuery[str | None]


class PartyAnswer(msgspec.Struct, frozen=True):
    """Who did something, or what it was done to."""

    kind: str
    id: UUID
    name: str | None


class EntryAnswer(msgspec.Struct, frozen=True):
    """An entry. `actor` is null where an operator or the platform did it; `hash` binds it to the entry before."""

    seq: int
    at: str
    action: str
    actor: PartyAnswer | None
    target: PartyAnswer | None
    address: str | None
    details: dict[str, Any]
    hash: str


class AuditController(Controller):
    """What was done that matters for security. It takes the right to manage the organization."""

    path = "/admin/audit-log"
    tags = ["Audit"]  # noqa: RUF012
    cache_control = CacheControlHeader(no_store=True)

    @get(summary="Read the audit log")
    async def listed(
        self,
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
        action: Text = None,
        actor_id: Text = None,
        target_id: Text = None,
        since: Text = None,
        until: Text = None,
        limit: FromQuery[int] = pages.DEFAULT_LIMIT,
        cursor: Text = None,
        count: FromQuery[Count] = "none",
    ) -> Page[EntryAnswer]:
        """Newest first. `action` may end in `*`; `since` is included and `until` is not."""
        limit, before = pages.check_limit(limit), pages.after_id(cursor).int or NEWEST
        wanted = _filters(action, actor_id, target_id, since, until)
        found = await auth.audit.page(principal, permissions, wanted, min(before, NEWEST), limit + 1)
        total = await auth.audit.count(principal, permissions, wanted) if count != "none" else None
        return pages.by_id(found, limit, lambda it: UUID(int=it.seq), _answer, total)

    @get("/export", summary="Export the audit log")
    async def export(
        self,
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
        action: Text = None,
        actor_id: Text = None,
        target_id: Text = None,
        since: Text = None,
        until: Text = None,
    ) -> Stream:
        """The same entries, all of them, as lines of JSON (NDJSON)."""
        permissions.require("manage", "organization")
        wanted = _filters(action, actor_id, target_id, since, until)
        lines = _lines(auth.audit.every(principal, permissions, wanted))
        headers = {"content-disposition": 'attachment; filename="audit-log.ndjson"'}
        return Stream(lines, media_type="application/x-ndjson", headers=headers)


async def _lines(entries: AsyncIterator[Kept]) -> AsyncIterator[bytes]:
    async for kept in entries:
        yield msgspec.json.encode(_answer(kept)) + b"\n"


def _answer(kept: Kept) -> EntryAnswer:
    it = msgspec.json.decode(kept.document, type=Entry)
    return EntryAnswer(
        it.seq, it.at, it.action, _party(it.actor), _party(it.target), it.address, it.details, kept.hash.hex()
    )


def _party(it: Party | None) -> PartyAnswer | None:
    return PartyAnswer(it.kind, it.id, it.name) if it else None


def _filters(
    action: str | None, actor_id: str | None, target_id: str | None, since: str | None, until: str | None
) -> Filters:
    return Filters(
        action, id_parameter("actor_id", actor_id), id_parameter("target_id", target_id),
        time_parameter("since", since), time_parameter("until", until),
    )  # fmt: skip
