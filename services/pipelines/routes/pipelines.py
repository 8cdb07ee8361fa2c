from typing import Any

from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from libs.common import pages
from libs.common.app import Platform
from libs.common.ids import parse_id
from services.pipelines.domain.caller import Caller
from services.pipelines.domain.json_schema import json_schema
from services.pipelines.domain.pipelines import Pipeline
from services.pipelines.routes.conditions import etag, unchanged, versions
from services.pipelines.routes.dependencies import CALLER, IfMatch, IfNoneMatch
from services.pipelines.routes.lists import Count, page
from services.pipelines.routes.shapes import (
    ClonePipeline,
    CreatePipeline,
    PatchPipeline,
    PipelineOutput,
    SchemaInput,
    pipeline_output,
)
from services.pipelines.usecases import pipelines


class PipelineRoutes(Controller):
    """Pipelines, in and out of the trash."""

    path = "/pipelines"
    tags = ("pipelines",)
    dependencies = CALLER

    @post()
    async def create(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], data: JSONBody[CreatePipeline]
    ) -> Response[PipelineOutput]:
        """Make a pipeline."""
        new = pipelines.NewPipeline(
            name=data.name, slug=data.slug, description=data.description, icon=data.icon, color=data.color,
            title_template=data.title_template, require_if_match=data.require_if_match,
            fields=data.schema_definition.fields,
        )  # fmt: skip
        return _created(await pipelines.create(platform.database, caller, new))

    @get()
    async def page(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller],
        limit: FromQuery[int] = pages.DEFAULT_LIMIT, cursor: FromQuery[str | None] = None,
        count: FromQuery[Count] = "none",
    ) -> pages.Page[PipelineOutput]:  # fmt: skip
        """List the pipelines that you may see."""
        return await _page(platform, caller, limit, cursor, count, trash=False)

    @get("/trash")
    async def trash(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller],
        limit: FromQuery[int] = pages.DEFAULT_LIMIT, cursor: FromQuery[str | None] = None,
        count: FromQuery[Count] = "none",
    ) -> pages.Page[PipelineOutput]:  # fmt: skip
        """List the pipelines in the trash that you may restore."""
        return await _page(platform, caller, limit, cursor, count, trash=True)

    @get("/{pipeline_id:str}")
    async def read(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], pipeline_id: FromPath[str],
        if_none_match: IfNoneMatch = None,
    ) -> Response[PipelineOutput | None]:  # fmt: skip
        """Read a pipeline."""
        found = await pipelines.get(platform.database, caller, parse_id(pipeline_id))
        if unchanged(if_none_match, found.version):
            return Response(None, status_code=304, headers=etag(found.version))
        return Response(pipeline_output(found), headers=etag(found.version))

    @get("/{pipeline_id:str}/json-schema", media_type="application/schema+json")
    async def schema(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], pipeline_id: FromPath[str],
        if_none_match: IfNoneMatch = None,
    ) -> Response[dict[str, Any] | None]:  # fmt: skip
        """Read the JSON Schema (2020-12) of the `data` of records."""
        found = await pipelines.get(platform.database, caller, parse_id(pipeline_id))
        if unchanged(if_none_match, found.version):
            return Response(None, status_code=304, headers=etag(found.version))
        return Response(json_schema(found), headers=etag(found.version), media_type="application/schema+json")

    @patch("/{pipeline_id:str}")
    async def change(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], pipeline_id: FromPath[str],
        data: JSONBody[PatchPipeline], if_match: IfMatch = None,
    ) -> Response[PipelineOutput]:  # fmt: skip
        """Change a pipeline, and its fields as far as its records still fit."""
        schema = data.schema_definition
        changes = pipelines.Changes(
            name=data.name, slug=data.slug, description=data.description, icon=data.icon, color=data.color,
            title_template=data.title_template, require_if_match=data.require_if_match,
            fields=schema.fields if isinstance(schema, SchemaInput) else schema,
        )  # fmt: skip
        pipeline = await pipelines.change(platform.database, caller, parse_id(pipeline_id), changes, versions(if_match))
        return Response(pipeline_output(pipeline), headers=etag(pipeline.version))

    @delete("/{pipeline_id:str}")
    async def delete(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], pipeline_id: FromPath[str],
        if_match: IfMatch = None,
    ) -> None:  # fmt: skip
        """Put a pipeline into the trash."""
        await pipelines.delete(platform.database, caller, parse_id(pipeline_id), versions(if_match))

    @post("/{pipeline_id:str}/restore", status_code=200)
    async def restore(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], pipeline_id: FromPath[str]
    ) -> Response[PipelineOutput]:
        """Take a pipeline out of the trash."""
        pipeline = await pipelines.restore(platform.database, caller, parse_id(pipeline_id))
        return Response(pipeline_output(pipeline), headers=etag(pipeline.version))

    @post("/{pipeline_id:str}/clone")
    async def clone(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], pipeline_id: FromPath[str],
        data: JSONBody[ClonePipeline | None] = None,
    ) -> Response[PipelineOutput]:  # fmt: skip
        """Make another pipeline with the same fields."""
        wanted = data or ClonePipeline()
        return _created(
            await pipelines.clone(platform.database, caller, parse_id(pipeline_id), wanted.name, wanted.slug)
        )


def _created(pipeline: Pipeline) -> Response[PipelineOutput]:
    location = {"Location": f"/api/v1/pipelines/{pipeline.id}"}
    return Response(pipeline_output(pipeline), headers={**etag(pipeline.version), **location})


async def _page(
    platform: Platform, caller: Caller, limit: int, cursor: str | None, count: Count, *, trash: bool
) -> pages.Page[PipelineOutput]:
    after = pages.after_id(cursor)
    rows, number = await pipelines.page(
        platform.database, caller, after, pages.check_limit(limit) + 1, trash=trash, count=count != "none"
    )
    return page(rows, limit, lambda row: row.id, pipeline_output, number)
