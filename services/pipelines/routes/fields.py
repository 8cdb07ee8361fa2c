from typing import Any
from uuid import UUID

import msgspec
from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from libs.common.app import Platform
from libs.common.clock import rfc3339
from libs.common.ids import parse_id
from libs.common.pages import Page
from services.pipelines.domain.caller import Caller
from services.pipelines.domain.field_types import FieldType, describe
from services.pipelines.domain.fields import AnyField
from services.pipelines.routes.conditions import etag, versions
from services.pipelines.routes.dependencies import CALLER, IfMatch
from services.pipelines.usecases import fields, pipelines


class TrashedField(msgspec.Struct):
    """A field that was removed; `version` is that of the first definition without it."""

    field: AnyField
    version: int
    removed_at: str
    removed_by: UUID


class FieldRoutes(Controller):
    """The fields of a pipeline; their `ETag` is the pipeline's."""

    path = "/pipelines/{pipeline_id:str}/fields"
    tags = ("fields",)
    dependencies = CALLER

    @get()
    async def page(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], pipeline_id: FromPath[str]
    ) -> Response[Page[AnyField]]:
        """List all fields, in order."""
        pipeline = await pipelines.get(platform.database, caller, parse_id(pipeline_id))
        return Response(Page(list(pipeline.fields), None), headers=etag(pipeline.version))

    @post()
    async def add(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], pipeline_id: FromPath[str],
        data: JSONBody[dict[str, Any]], if_match: IfMatch = None,
    ) -> Response[AnyField]:  # fmt: skip
        """Add a field at the end."""
        pipeline = await fields.add(platform.database, caller, parse_id(pipeline_id), data, versions(if_match))
        return Response(pipeline.fields[-1], headers=etag(pipeline.version))

    @patch("/{field:str}")
    async def change(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], pipeline_id: FromPath[str],
        field: FromPath[str], data: JSONBody[dict[str, Any]], if_match: IfMatch = None,
    ) -> Response[AnyField]:  # fmt: skip
        """Change a field by a merge patch, as far as the records still fit."""
        pipeline = await fields.change(
            platform.database, caller, parse_id(pipeline_id), field, data, versions(if_match)
        )
        return Response(pipeline.named(field), headers=etag(pipeline.version))

    @delete("/{field:str}")
    async def remove(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], pipeline_id: FromPath[str],
        field: FromPath[str], permanent: FromQuery[bool] = False, if_match: IfMatch = None,
    ) -> None:  # fmt: skip
        """Take a field away, into the trash of fields; or `permanent`, from there as well, with all it held."""
        await fields.remove(
            platform.database, caller, parse_id(pipeline_id), field, versions(if_match), permanent=permanent
        )

    @get("/trash")
    async def trash(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], pipeline_id: FromPath[str]
    ) -> Page[TrashedField]:
        """List the fields that were removed and may be restored, the last first."""
        found = await fields.trash(platform.database, caller, parse_id(pipeline_id))
        return Page([TrashedField(it.field, it.version, rfc3339(it.removed_at), it.removed_by) for it in found], None)

    @post("/{field:str}/restore", status_code=200)
    async def restore(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], pipeline_id: FromPath[str],
        field: FromPath[str], if_match: IfMatch = None,
    ) -> Response[AnyField]:  # fmt: skip
        """Take a field out of the trash; a job gives records back what they had in it."""
        pipeline = await fields.restore(platform.database, caller, parse_id(pipeline_id), field, versions(if_match))
        return Response(pipeline.named(field), headers=etag(pipeline.version))


@get("/field-types", tags=["fields"], dependencies=CALLER)
async def field_types(caller: NamedDependency[Caller]) -> Page[FieldType]:
    """List the types of fields, each with the JSON Schema of its options."""
    return Page(describe(), None)
