"""Links to records and views, and what whoever has one may do."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Controller, Request, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from libs.common import clock, pages
from libs.common.app import Platform, anonymous_tenant
from libs.common.errors import NotFound
from libs.common.http import Input
from libs.common.ids import parse_id
from libs.common.pages import Count, Page
from services.records.domain.links import Sharing, new_token, until
from services.records.domain.reach import Reach
from services.records.routes.answers import tagged_version
from services.records.routes.records import CALLER, IfMatch
from services.records.routes.shapes import DataInput
from services.records.storage import records
from services.records.storage.links import Link
from services.records.usecases import links, sharing, views
from services.records.usecases.caller import Caller
from services.records.usecases.owners import Owners
from services.records.usecases.read import only_fields

SHARE = "Share link"
Names = Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=200)]


class ShareLinkInput(Input):
    """A link to a record: until when it is open, whether fields may be changed, and which are shown (or all)."""

    expires_at: datetime | None = None
    editable: bool = False
    fields: Names | None = None


class ViewLinkInput(Input):
    """A link to the list of a view."""

    view_id: UUID
    expires_at: datetime | None = None


class ShareLink(msgspec.Struct, kw_only=True):
    """A link. Its token, and the path that it opens, are told once, when it is made."""

    id: UUID
    kind: str
    pipeline_id: UUID
    target_id: UUID | None
    owner_id: UUID
    editable: bool
    fields: list[str] | None
    created_at: str
    expires_at: str | None
    ended: bool
    token: str | None = None
    path: str | None = None


def _shown(link: Link, token: str | None = None) -> ShareLink:
    settings = msgspec.json.decode(link.settings, type=Sharing)
    below = "shared/views" if link.kind == "view" else "shared"
    return ShareLink(
        id=link.id, kind=link.kind, pipeline_id=link.pipeline_id, target_id=link.target_id, owner_id=link.owner_id,
        editable=settings.editable, fields=None if settings.fields is None else list(settings.fields),
        created_at=clock.rfc3339(link.created_at), expires_at=until(link.expires_at), ended=link.ended, token=token,
        path=None if token is None else f"/api/v1/{below}/{token}",
    )  # fmt: skip


class ShareLinksController(Controller):
    """Links to a record; they take the right to share it."""

    path = "/records/{record_id:str}/share-links"
    tags = ("Sharing",)
    dependencies = CALLER

    @post(operation_id="CreateShareLink")
    async def create(
        self, caller: NamedDependency[Caller], record_id: FromPath[str], data: JSONBody[ShareLinkInput]
    ) -> ShareLink:
        """Open a record to whoever has the link, as far as you may read it at that moment."""
        place = (await _reach(caller, record_id)).pipeline.id
        access = await caller.judged(place, lambda reach: links.sharing(reach, data.fields))
        settings = Sharing(data.fields, data.editable)
        made = await links.make(caller, "record", place, parse_id(record_id), settings, data.expires_at, access=access)
        return _shown(*made)

    @get(operation_id="ListShareLinks")
    async def page(
        self, caller: NamedDependency[Caller], record_id: FromPath[str], limit: FromQuery[int] = 50,
        cursor: FromQuery[str | None] = None, count: FromQuery[Count] = "none",
    ) -> Page[ShareLink]:  # fmt: skip
        """The links to a record, without their tokens."""
        after, target = pages.after_id(cursor), parse_id(record_id)
        reach = await _reach(caller, record_id)
        found = await links.page(caller, reach, "record", target, after, pages.check_limit(limit) + 1)
        total = await links.count(caller, reach, "record", target) if count != "none" else None
        return pages.by_id(found, limit, lambda link: link.id, _shown, total)

    @delete("/{link_id:str}", operation_id="DeleteShareLink")
    async def revoke(self, caller: NamedDependency[Caller], record_id: FromPath[str], link_id: FromPath[str]) -> None:
        """End a link at once."""
        reach = await _reach(caller, record_id)
        await links.revoke(caller, reach, "record", parse_id(record_id), parse_id(link_id))


class ViewLinksController(Controller):
    """Links to lists of views."""

    path = "/pipelines/{pipeline_id:str}/view-links"
    tags = ("Sharing",)
    dependencies = CALLER

    @post(operation_id="CreateViewLink")
    async def create(
        self, caller: NamedDependency[Caller], pipeline_id: FromPath[str], data: JSONBody[ViewLinkInput]
    ) -> ShareLink:
        """Open the list of a view to whoever has the link, as far as you may read its records at that moment.

        A view that shows some fields only goes on to show no others there, whoever changes it.
        """
        reach = await caller.reach(parse_id(pipeline_id))
        links.shareable(reach)
        view = await views.find(caller, reach.pipeline.id, str(data.view_id))
        shown = only_fields(reach, views.shown_fields(view, reach))
        settings = Sharing(None if shown is None else tuple(sorted(shown)), secret=new_token())
        return _shown(*await links.make(caller, "view", reach.pipeline.id, view.id, settings, data.expires_at))

    @get(operation_id="ListViewLinks")
    async def page(
        self, caller: NamedDependency[Caller], pipeline_id: FromPath[str], limit: FromQuery[int] = 50,
        cursor: FromQuery[str | None] = None, count: FromQuery[Count] = "none",
    ) -> Page[ShareLink]:  # fmt: skip
        """The links to views of a pipeline."""
        after, reach = pages.after_id(cursor), await caller.reach(parse_id(pipeline_id))
        found = await links.page(caller, reach, "view", None, after, pages.check_limit(limit) + 1)
        total = await links.count(caller, reach, "view", None) if count != "none" else None
        return pages.by_id(found, limit, lambda link: link.id, _shown, total)

    @delete("/{link_id:str}", operation_id="DeleteViewLink")
    async def revoke(self, caller: NamedDependency[Caller], pipeline_id: FromPath[str], link_id: FromPath[str]) -> None:
        """End a link at once."""
        await links.revoke(caller, await caller.reach(parse_id(pipeline_id)), "view", None, parse_id(link_id))


class SharedController(Controller):
    """What links open, to whoever has them."""

    path = "/shared"
    tags = ("Sharing",)
    security = ({},)

    @get("/{token:str}", operation_id="GetShared")
    async def show(
        self, request: Request[Any, Any, Any], platform: NamedDependency[Platform], owners: NamedDependency[Owners],
        token: FromPath[str],
    ) -> Response[sharing.SharedAnswer]:  # fmt: skip
        """A record that is shared. A link that has ended is 410: by its time, by hand, or with its owner's rights."""
        found = await links.open_link(owners, platform.database, _tenant(request), token, "record", SHARE)
        return _answer(await sharing.show(found))

    @patch("/{token:str}", operation_id="PatchShared")
    async def change(
        self, request: Request[Any, Any, Any], platform: NamedDependency[Platform], owners: NamedDependency[Owners],
        token: FromPath[str], data: JSONBody[DataInput], if_match: IfMatch = None,
    ) -> Response[sharing.SharedAnswer]:  # fmt: skip
        """Merge a patch of a record that is shared to be changed."""
        found = await links.open_link(owners, platform.database, _tenant(request), token, "record", SHARE)
        return _answer(await sharing.change(found, data.data, tagged_version(if_match)))

    @get("/views/{token:str}", operation_id="ListShared")
    async def listed(
        self, request: Request[Any, Any, Any], platform: NamedDependency[Platform], owners: NamedDependency[Owners],
        token: FromPath[str], limit: FromQuery[int] = 50, cursor: FromQuery[str | None] = None,
    ) -> sharing.SharedPage:  # fmt: skip
        """The list of a view that is shared, in its order."""
        pages.check_limit(limit)
        found = await links.open_link(owners, platform.database, _tenant(request), token, "view", SHARE)
        return await sharing.listed(found, limit, cursor)


def _answer(found: sharing.SharedAnswer) -> Response[sharing.SharedAnswer]:
    return Response(found, headers={"etag": f'"{found.record.version}"', "cache-control": "no-store"})


def _tenant(request: Request[Any, Any, Any]) -> UUID:
    return parse_id(anonymous_tenant(request))


async def _reach(caller: Caller, record_id: str) -> Reach:
    """The pipeline of a record."""
    async with caller.database.tenant(caller.tenant_id) as connection:
        place = await records.place(connection, caller.tenant_id, parse_id(record_id))
    if place is None or place.deleted:
        raise NotFound("There is no such record")
    return await caller.reach(place.pipeline_id)
