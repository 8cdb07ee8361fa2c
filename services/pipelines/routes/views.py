from typing import Any
from uuid import UUID

import msgspec
from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET, UnsetType
from msgspec.structs import asdict

from libs.common import clock, pages
from libs.common.app import Platform
from libs.common.http import Input
from libs.common.ids import NIL, new_id, parse_id
from services.pipelines.domain.caller import Caller
from services.pipelines.domain.views import MAX_VIEWS, Kind, Name, Names, Sort, View, Visibility
from services.pipelines.routes.conditions import etag, versions
from services.pipelines.routes.dependencies import CALLER, IfMatch
from services.pipelines.usecases import views


class CreateView(Input, kw_only=True):
    """A new view; a kanban needs `group_by`, a calendar `date_field`."""

    name: Name
    kind: Kind = "table"
    visibility: Visibility = "private"
    filter: dict[str, Any] | None = None
    sort: Sort | None = None
    fields: Names | None = None
    group_by: str | None = None
    date_field: str | None = None


class PatchView(Input, kw_only=True):
    """What shall change of a view; null takes away."""

    name: Name | UnsetType = UNSET
    kind: Kind | UnsetType = UNSET
    visibility: Visibility | UnsetType = UNSET
    filter: dict[str, Any] | UnsetType | None = UNSET
    sort: Sort | UnsetType | None = UNSET
    fields: Names | UnsetType | None = UNSET
    group_by: str | UnsetType | None = UNSET
    date_field: str | UnsetType | None = UNSET


class ViewOutput(msgspec.Struct):
    """A view; its records are those of `GET /pipelines/{id}/records?view={view}`."""

    id: UUID
    pipeline_id: UUID
    version: int
    name: str
    kind: Kind
    visibility: Visibility
    owner_id: UUID
    filter: dict[str, Any] | None
    sort: str | None
    fields: list[str] | None
    group_by: str | None
    date_field: str | None
    created_at: str
    updated_at: str
    updated_by: UUID


def view_output(view: View) -> ViewOutput:
    """A view as it is shown."""
    times = {"created_at": clock.rfc3339(view.created_at), "updated_at": clock.rfc3339(view.updated_at)}
    return ViewOutput(**{**asdict(view), **times})


class ViewRoutes(Controller):
    """Views of a pipeline's records: your own, and the shared ones."""

    path = "/pipelines/{pipeline_id:str}/views"
    tags = ("views",)
    dependencies = CALLER

    @get()
    async def page(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], pipeline_id: FromPath[str],
        limit: FromQuery[int] = pages.DEFAULT_LIMIT, cursor: FromQuery[str | None] = None,
        count: FromQuery[pages.Count] = "none",
    ) -> pages.Page[ViewOutput]:  # fmt: skip
        """List the views that you may use."""
        after, found = pages.after_id(cursor), parse_id(pipeline_id)
        rows = await views.page(platform.database, caller, found, after, pages.check_limit(limit) + 1)
        shown = pages.by_id(rows, limit, lambda view: view.id, view_output)
        if count != "none":
            shown.count = len(await views.page(platform.database, caller, found, NIL, MAX_VIEWS))
        return shown

    @post()
    async def create(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], pipeline_id: FromPath[str],
        data: JSONBody[CreateView],
    ) -> Response[ViewOutput]:  # fmt: skip
        """Make a view."""
        now = clock.now()
        view = View(
            id=new_id(), pipeline_id=parse_id(pipeline_id), version=1, owner_id=caller.id, created_at=now,
            updated_at=now, updated_by=caller.id, **asdict(data),
        )  # fmt: skip
        view = await views.create(platform.database, caller, view)
        location = {"Location": f"/api/v1/pipelines/{view.pipeline_id}/views/{view.id}"}
        return Response(view_output(view), headers={**etag(view.version), **location})

    @get("/{view_id:str}")
    async def read(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], pipeline_id: FromPath[str],
        view_id: FromPath[str],
    ) -> Response[ViewOutput]:  # fmt: skip
        """Read a view."""
        view = await views.get(platform.database, caller, parse_id(pipeline_id), parse_id(view_id))
        return Response(view_output(view), headers=etag(view.version))

    @patch("/{view_id:str}")
    async def change(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], pipeline_id: FromPath[str],
        view_id: FromPath[str], data: JSONBody[PatchView], if_match: IfMatch = None,
    ) -> Response[ViewOutput]:  # fmt: skip
        """Change a view."""
        given = {name: value for name, value in asdict(data).items() if value is not UNSET}
        view = await views.change(
            platform.database, platform.bus, caller, parse_id(pipeline_id), parse_id(view_id), given,
            versions(if_match),
        )  # fmt: skip
        return Response(view_output(view), headers=etag(view.version))

    @delete("/{view_id:str}")
    async def remove(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], pipeline_id: FromPath[str],
        view_id: FromPath[str], if_match: IfMatch = None,
    ) -> None:  # fmt: skip
        """Take a view away."""
        await views.delete(
            platform.database, platform.bus, caller, parse_id(pipeline_id), parse_id(view_id), versions(if_match)
        )
