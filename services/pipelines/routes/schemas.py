from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET, UnsetType

from libs.common import clock, pages
from libs.common.app import Platform
from libs.common.errors import Fault, Invalid
from libs.common.http import Input
from libs.common.ids import parse_id
from libs.common.pages import Count, Page
from services.pipelines.domain import planning
from services.pipelines.domain.caller import Caller
from services.pipelines.domain.definitions import MAX_FIELDS
from services.pipelines.domain.evolution import Pending
from services.pipelines.domain.fields import AnyField
from services.pipelines.domain.rules import Rule
from services.pipelines.domain.schemas import Difference, PlannedChange, Version
from services.pipelines.routes.conditions import etag
from services.pipelines.routes.dependencies import CALLER
from services.pipelines.usecases import schemas

NEWEST = 2**62
FEW = msgspec.Meta(max_length=MAX_FIELDS)


class PlanInput(Input, kw_only=True):
    """Fields that are new or replace those of their name, names of fields that go, and old names with new ones."""

    fields: Annotated[list[Any], FEW] = msgspec.field(default_factory=list)
    remove: Annotated[list[str], FEW] = msgspec.field(default_factory=list)
    rename: Annotated[dict[str, str], FEW] = msgspec.field(default_factory=dict)


class PlanOutput(msgspec.Struct):
    """What would change; it is applied by the plan's id, until it expires or the definition changes otherwise."""

    plan_id: UUID
    version: int
    expires_at: str
    changes: list[PlannedChange]


class ApplyInput(Input, kw_only=True):
    """Which plan; with `force` also where records would not fit, which are treated as the plan says."""

    plan_id: UUID
    force: bool = False


class RollbackInput(Input, kw_only=True):
    """Which version's fields shall be there again; with `force` also where records would not fit."""

    version: Annotated[int, msgspec.Meta(ge=1, le=NEWEST)]
    force: bool = False


class Progress(msgspec.Struct):
    """How much is done."""

    done: int = 0
    rate: float = 0.0


class JobOutput(msgspec.Struct, kw_only=True):
    """The job that brings records along, as it begins; `GET /jobs/{id}` tells how far it is."""

    id: UUID
    kind: str = "schema"
    state: str = "queued"
    progress: Progress = msgspec.field(default_factory=Progress)
    created: int = 0
    updated: int = 0
    refused: int = 0
    pipeline_id: UUID
    version: int


class VersionOutput(msgspec.Struct):
    """A definition as it was, by whom it was made so, and when."""

    version: int
    name: str
    slug: str
    title_template: str | None
    fields: tuple[AnyField, ...]
    rules: tuple[Rule, ...]
    deleted: bool
    changed_at: str
    changed_by: UUID
    changes: Difference | UnsetType = UNSET


class SchemaRoutes(Controller):
    """A definition's changes where there are records: planned, applied while all go on, taken back."""

    path = "/pipelines/{pipeline_id:str}/schema"
    tags = ("schema",)
    dependencies = CALLER

    @post("/plan", status_code=200)
    async def plan(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], pipeline_id: FromPath[str],
        data: JSONBody[PlanInput],
    ) -> PlanOutput:  # fmt: skip
        """Tell what would change, how many records would not fit, and some of these."""
        wanted = planning.Wanted(data.fields, data.remove, data.rename)
        made = await schemas.plan(platform.database, platform.bus, caller, parse_id(pipeline_id), wanted)
        return PlanOutput(made.id, made.version, clock.rfc3339(made.expires_at), made.changes)

    @post("/apply", status_code=202)
    async def apply(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], pipeline_id: FromPath[str],
        data: JSONBody[ApplyInput],
    ) -> Response[JobOutput]:  # fmt: skip
        """Apply a plan: the definition is in force at once, and a job brings the records along."""
        found = parse_id(pipeline_id)
        pipeline, asked = await schemas.apply(platform.database, caller, found, data.plan_id, force=data.force)
        return _job(found, pipeline.version, asked)

    @post("/rollback", status_code=202)
    async def rollback(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], pipeline_id: FromPath[str],
        data: JSONBody[RollbackInput],
    ) -> Response[JobOutput]:  # fmt: skip
        """Go back to the fields of an earlier version, with what they held."""
        found = parse_id(pipeline_id)
        pipeline, asked = await schemas.rollback(
            platform.database, platform.bus, caller, found, data.version, force=data.force
        )
        return _job(found, pipeline.version, asked)


class VersionRoutes(Controller):
    """The definitions that a pipeline has had."""

    path = "/pipelines/{pipeline_id:str}/versions"
    tags = ("schema",)
    dependencies = CALLER

    @get()
    async def page(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], pipeline_id: FromPath[str],
        limit: FromQuery[int] = pages.DEFAULT_LIMIT, cursor: FromQuery[str | None] = None,
        count: FromQuery[Count] = "none",
    ) -> Page[VersionOutput]:  # fmt: skip
        """List them, the last first."""
        before = NEWEST if cursor is None else _number(cursor, "/cursor")
        limit = pages.check_limit(limit)
        place = parse_id(pipeline_id)
        found = await schemas.versions(platform.database, caller, place, before, limit)
        total = await schemas.count_versions(platform.database, caller, place) if count != "none" else None
        more = str(found[limit - 1].version) if len(found) > limit else None
        return Page([_version(one) for one in found[:limit]], more, total)

    @get("/{version:str}")
    async def one(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], pipeline_id: FromPath[str],
        version: FromPath[str], since: FromQuery[str | None] = None,
    ) -> VersionOutput:  # fmt: skip
        """Read one; with `since` also what is different from that earlier version, in `changes`.

        A renamed field is one field, also where it took several versions.
        """
        number, earlier = _number(version, "/version"), None if since is None else _number(since, "/since")
        found, changes = await schemas.version(platform.database, caller, parse_id(pipeline_id), number, earlier)
        return _version(found, UNSET if changes is None else changes)


def _number(text: str, pointer: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 18:
        return int(text)
    raise Invalid(errors=[Fault(pointer, "invalid_value", "A number is expected")])


def _job(pipeline_id: UUID, version: int, asked: Pending) -> Response[JobOutput]:
    job = JobOutput(id=asked.job_id, pipeline_id=pipeline_id, version=version)
    return Response(job, headers={**etag(version), "Location": f"/api/v1/jobs/{job.id}"})


def _version(it: Version, changes: Difference | UnsetType = UNSET) -> VersionOutput:
    return VersionOutput(
        it.version, it.name, it.slug, it.title_template, it.fields, it.rules, it.deleted,
        clock.rfc3339(it.changed_at), it.changed_by, changes,
    )  # fmt: skip
