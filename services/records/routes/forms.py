"""Public forms: made by who may share, filled in by whoever has their address."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Controller, Request, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import asdict

from libs.common import clock, pages
from libs.common.app import Platform, anonymous_tenant
from libs.common.http import Input
from libs.common.ids import parse_id
from libs.common.pages import Count, Page
from services.records.domain.links import until
from services.records.routes.records import CALLER
from services.records.usecases import forms, links
from services.records.usecases.caller import Caller
from services.records.usecases.forms import Blank, Form, form_of
from services.records.usecases.owners import Owners

FORM = "Form"
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Names = Annotated[tuple[str, ...], Meta(min_length=1, max_length=200)]
Text = Annotated[str, Meta(max_length=4000)]
Presets = Annotated[dict[str, Any], Meta(max_length=100)]
Seconds = Annotated[int, Meta(ge=0, le=600)]


class FormInput(Input):
    """A form: the fields it asks for, those it requires besides the pipeline's own, and values that it sets itself.

    What is sent within `min_seconds` after the form was opened is refused; after `closes_at` nothing is taken.
    """

    name: Name
    fields: Names
    required: tuple[str, ...] = ()
    presets: Presets = msgspec.field(default_factory=dict)
    description: Text | None = None
    thank_you: Text | None = None
    min_seconds: Seconds = 2
    closes_at: datetime | None = None


class FormPatch(Input):
    """What shall change of a form."""

    name: Name | UnsetType = UNSET
    fields: Names | UnsetType = UNSET
    required: tuple[str, ...] | UnsetType = UNSET
    presets: Presets | UnsetType = UNSET
    description: Text | UnsetType | None = UNSET
    thank_you: Text | UnsetType | None = UNSET
    min_seconds: Seconds | UnsetType = UNSET
    closes_at: datetime | UnsetType | None = UNSET


class FormAnswer(msgspec.Struct):
    """A form, and the path below which it is open."""

    id: UUID
    pipeline_id: UUID
    owner_id: UUID
    name: str
    fields: list[str]
    required: list[str]
    presets: dict[str, Any]
    description: str | None
    thank_you: str | None
    min_seconds: int
    closes_at: str | None
    closed: bool
    created_at: str
    path: str


class FilledIn(Input):
    """A form that was filled in, with the `nonce` that came with it. `website` is a trap for machines."""

    data: dict[str, Any]
    nonce: Annotated[str, Meta(max_length=200)]
    website: Annotated[str, Meta(max_length=2000)] | None = None


class Received(msgspec.Struct):
    """What a form says when it is sent."""

    thank_you: str


def _shown(it: Form) -> FormAnswer:
    link, own = it.link, it.settings
    return FormAnswer(
        link.id, link.pipeline_id, link.owner_id, own.name, list(own.fields), list(own.required), own.presets,
        own.description, own.thank_you, own.min_seconds, until(link.expires_at), link.ended,
        clock.rfc3339(link.created_at), f"/api/v1/forms/{own.token}",
    )  # fmt: skip


class FormsController(Controller):
    """Forms of a pipeline; they take the rights to make records and to share them."""

    path = "/pipelines/{pipeline_id:str}/forms"
    tags = ("Forms",)
    dependencies = CALLER

    @post(operation_id="CreateForm")
    async def create(
        self, caller: NamedDependency[Caller], pipeline_id: FromPath[str], data: JSONBody[FormInput]
    ) -> FormAnswer:
        """Make a public form: whoever has its address makes records in your name."""
        given = asdict(data)
        closes_at = given.pop("closes_at")
        return _shown(await forms.create(caller, parse_id(pipeline_id), given, closes_at))

    @get(operation_id="ListForms")
    async def page(
        self, caller: NamedDependency[Caller], pipeline_id: FromPath[str], limit: FromQuery[int] = 50,
        cursor: FromQuery[str | None] = None, count: FromQuery[Count] = "none",
    ) -> Page[FormAnswer]:  # fmt: skip
        """The forms of a pipeline."""
        after, reach = pages.after_id(cursor), await caller.reach(parse_id(pipeline_id))
        found = await links.page(caller, reach, "form", None, after, pages.check_limit(limit) + 1)
        total = await links.count(caller, reach, "form", None) if count != "none" else None
        return pages.by_id(found, limit, lambda link: link.id, lambda link: _shown(form_of(link)), total)

    @get("/{form_id:str}", operation_id="GetForm")
    async def read(
        self, caller: NamedDependency[Caller], pipeline_id: FromPath[str], form_id: FromPath[str]
    ) -> FormAnswer:
        """Read a form."""
        return _shown(await forms.find(caller, parse_id(pipeline_id), parse_id(form_id)))

    @patch("/{form_id:str}", operation_id="PatchForm")
    async def change(
        self, caller: NamedDependency[Caller], pipeline_id: FromPath[str], form_id: FromPath[str],
        data: JSONBody[FormPatch],
    ) -> FormAnswer:  # fmt: skip
        """Change a form; from now on it makes records in your name."""
        given = {name: value for name, value in asdict(data).items() if value is not UNSET}
        return _shown(await forms.change(caller, parse_id(pipeline_id), parse_id(form_id), given))

    @delete("/{form_id:str}", operation_id="DeleteForm")
    async def remove(self, caller: NamedDependency[Caller], pipeline_id: FromPath[str], form_id: FromPath[str]) -> None:
        """Close a form for good."""
        await links.revoke(caller, await caller.reach(parse_id(pipeline_id)), "form", None, parse_id(form_id))


class PublicFormsController(Controller):
    """Forms as whoever has their address sees them."""

    path = "/forms"
    tags = ("Forms",)
    security = ({},)

    @get("/{token:str}", operation_id="OpenForm")
    async def blank(
        self, request: Request[Any, Any, Any], platform: NamedDependency[Platform], owners: NamedDependency[Owners],
        token: FromPath[str],
    ) -> Blank:  # fmt: skip
        """A form to be filled in. One that is closed is 410."""
        found = await links.open_link(owners, platform.database, _tenant(request), token, "form", FORM)
        return await forms.blank(found)

    @post("/{token:str}", operation_id="SendForm")
    async def send(
        self, request: Request[Any, Any, Any], platform: NamedDependency[Platform], owners: NamedDependency[Owners],
        token: FromPath[str], data: JSONBody[FilledIn],
    ) -> Received:  # fmt: skip
        """Send what was filled in. Sent again with the same nonce it is taken once."""
        found = await links.open_link(owners, platform.database, _tenant(request), token, "form", FORM)
        return Received(await forms.send(found, data.data, data.nonce, data.website))


def _tenant(request: Request[Any, Any, Any]) -> UUID:
    return parse_id(anonymous_tenant(request))
