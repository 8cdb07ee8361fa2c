"""`/compliance`: a person's data out, or erased everywhere."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Controller, get, post
from litestar.datastructures import CacheControlHeader
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.response import Stream
from msgspec import Meta

from libs.common import pages
from libs.common.clock import rfc3339
from libs.common.errors import Fault, Invalid
from libs.common.http import Input
from libs.common.identity import Principal
from libs.common.ids import parse_id
from libs.common.pages import Count, Page
from libs.common.permissions import Permissions
from services.auth.domain.compliance import Job, Kind
from services.auth.routes.shapes import id_parameter
from services.auth.usecases import compliance, reports
from services.auth.usecases.context import Context


class PersonInput(Input):
    """Who it is about: a user, also one of former times, by id; or anybody by an address."""

    user_id: str | None = None
    email: Annotated[str, Meta(max_length=320)] | None = None


class JobAnswer(msgspec.Struct, frozen=True):
    """A request: `running`, at present in the service `source`, or `done`; and what was found or erased, by service."""

    id: UUID
    kind: Kind
    state: str
    user_id: UUID | None
    requested_by: UUID
    requested_at: str
    source: str
    finished_at: str | None
    summary: dict[str, Any]
    report_url: str | None


class ComplianceController(Controller):
    """What people may ask of who holds data on them. It takes the right to manage the organization."""

    path = "/compliance"
    tags = ["Compliance"]  # noqa: RUF012
    cache_control = CacheControlHeader(no_store=True)

    @post("/exports", summary="Export what is held on a person", status_code=202)
    async def export(
        self,
        data: JSONBody[PersonInput],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> JobAnswer:
        """Begins to gather it from all services. Everyone may ask for their own by their `user_id`.

        Records that hold the person's address in a field of type e-mail are a part of it where it is asked for by who
        manages the organization. By an address alone it finds these.
        """
        return _answer(await compliance.request_export(auth, principal, permissions, *_person(data)))

    @get("/exports", summary="List exports")
    async def exports(
        self,
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
        limit: FromQuery[int] = pages.DEFAULT_LIMIT,
        cursor: FromQuery[str | None] = None,
        count: FromQuery[Count] = "none",
    ) -> Page[JobAnswer]:
        """Those of the last thirty days, oldest first."""
        return await _listed(auth, principal, permissions, "export", limit, cursor, count)

    @get("/exports/{export_id:str}", summary="Get an export")
    async def one_export(
        self,
        export_id: FromPath[str],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> JobAnswer:
        """How far it is."""
        return _answer(await compliance.get(auth, principal, permissions, "export", parse_id(export_id)))

    @get("/exports/{export_id:str}/report", summary="Download an export")
    async def export_report(
        self,
        export_id: FromPath[str],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> Stream:
        """A ZIP of JSON files with a signed manifest (JWS) of their digests."""
        return await _report(auth, principal, permissions, "export", parse_id(export_id))

    @post("/erasures", summary="Erase a person everywhere", status_code=202)
    async def erase(
        self,
        data: JSONBody[PersonInput],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> JobAnswer:
        """Takes the account out at once, and the person's name out of all services. There is no way back.

        The audit log keeps its entries without the name. Records stay as they are: the report names those that hold the
        address in a field of type e-mail. It takes the right to delete users as well.
        """
        return _answer(await compliance.request_erasure(auth, principal, permissions, *_person(data)))

    @get("/erasures", summary="List erasures")
    async def erasures(
        self,
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
        limit: FromQuery[int] = pages.DEFAULT_LIMIT,
        cursor: FromQuery[str | None] = None,
        count: FromQuery[Count] = "none",
    ) -> Page[JobAnswer]:
        """All of them, oldest first."""
        return await _listed(auth, principal, permissions, "erasure", limit, cursor, count)

    @get("/erasures/{erasure_id:str}", summary="Get an erasure")
    async def one_erasure(
        self,
        erasure_id: FromPath[str],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> JobAnswer:
        """How far it is."""
        return _answer(await compliance.get(auth, principal, permissions, "erasure", parse_id(erasure_id)))

    @get("/erasures/{erasure_id:str}/report", summary="Download the report on an erasure")
    async def erasure_report(
        self,
        erasure_id: FromPath[str],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> Stream:
        """What was erased where, and what is left to judge, as a ZIP with a signed manifest (JWS)."""
        return await _report(auth, principal, permissions, "erasure", parse_id(erasure_id))


async def _listed(
    auth: Context,
    principal: Principal,
    permissions: Permissions,
    kind: Kind,
    limit: int,
    cursor: str | None,
    count: Count,
) -> Page[JobAnswer]:
    limit, after = pages.check_limit(limit), pages.after_id(cursor)
    found = await compliance.page(auth, principal, permissions, kind, after, limit + 1)
    total = await compliance.count(auth, principal, permissions, kind) if count != "none" else None
    return pages.by_id(found, limit, lambda it: it.id, _answer, total)


async def _report(auth: Context, principal: Principal, permissions: Permissions, kind: Kind, job_id: UUID) -> Stream:
    job = await compliance.get(auth, principal, permissions, kind, job_id)
    pieces = await reports.archive(auth, principal.tenant_id, job)
    headers = {"content-disposition": f'attachment; filename="{kind}-{job_id}.zip"'}
    return Stream(pieces, media_type="application/zip", headers=headers)


def _person(data: PersonInput) -> tuple[UUID | None, str | None]:
    if (data.user_id is None) == (data.email is None):
        raise Invalid(errors=[Fault("/user_id", "required", "Either 'user_id' or 'email' is expected")])
    return id_parameter("user_id", data.user_id), data.email


def _answer(it: Job) -> JobAnswer:
    url = f"/api/v1/compliance/{it.kind}s/{it.id}/report" if it.state == "done" else None
    return JobAnswer(
        it.id, it.kind, it.state, it.user_id, it.requested_by, rfc3339(it.requested_at), it.source,
        rfc3339(it.finished_at) if it.finished_at else None, it.summary, url,
    )  # fmt: skip
