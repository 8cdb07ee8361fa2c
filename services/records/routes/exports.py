"""Exports: records out, at once or as a job."""

from typing import Annotated, Any

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Stream

from libs.common.app import Platform
from libs.common.ids import parse_id
from services.records.domain.jobs import JobShown
from services.records.domain.sheets import MEDIA_TYPES, Format
from services.records.routes.records import CALLER, FILTERED
from services.records.storage.objects import ObjectStore
from services.records.usecases import exports, jobs
from services.records.usecases.caller import Caller
from services.records.usecases.exports import ExportRequest

_FILE = {200: ResponseSpec(bytes, generate_examples=False, description="The file", media_type="text/csv")}
FormatParameter = Annotated[Format, QueryParameter(name="format")]


class ExportsController(Controller):
    """Exports of a pipeline's records."""

    path = "/pipelines/{pipeline_id:str}/exports"
    tags = ("Exports",)
    dependencies = CALLER

    @get(operation_id="ExportRecords", responses=_FILE, opt=FILTERED)
    async def export_records(
        self,
        request: Request[Any, Any, Any],
        caller: NamedDependency[Caller],
        platform: NamedDependency[Platform],
        pipeline_id: FromPath[str],
        form: FormatParameter = "csv",
        sort: FromQuery[str | None] = None,
        fields: FromQuery[str | None] = None,
        view: FromQuery[str | None] = None,
        bom: FromQuery[bool] = False,
        guard: FromQuery[bool] = True,
    ) -> Stream:
        """All records of a list as a file, with the filters, order and fields of `GET …/records`, under one snapshot.

        Text that a spreadsheet would take for a formula gets an apostrophe before it, unless `guard=false`; `bom=true`
        begins CSV with a byte order mark. Who reads slower than half a minute a piece is cut off: ask for a job then.
        """
        position = str(caller.position(platform.bus))
        asked = _asked(request, form, sort, fields, view, bom, guard)
        pieces = await exports.stream(caller, parse_id(pipeline_id), asked)
        return Stream(pieces, media_type=MEDIA_TYPES[form], headers={**_named(form), "change-seq": position})

    @post(status_code=202, operation_id="StartExport", opt=FILTERED)
    async def start_export(
        self,
        request: Request[Any, Any, Any],
        caller: NamedDependency[Caller],
        pipeline_id: FromPath[str],
        form: FormatParameter = "csv",
        sort: FromQuery[str | None] = None,
        fields: FromQuery[str | None] = None,
        view: FromQuery[str | None] = None,
        bom: FromQuery[bool] = False,
        guard: FromQuery[bool] = True,
    ) -> Response[JobShown]:
        """The same as a job; its `report_url` is the file, which is kept for a week."""
        asked = _asked(request, form, sort, fields, view, bom, guard)
        job = await exports.start(caller, parse_id(pipeline_id), asked)
        return Response(job.shown(), status_code=202, headers={"location": f"/api/v1/exports/{job.id}"})


class ExportJobsController(Controller):
    """Exports that were begun."""

    path = "/exports"
    tags = ("Exports",)
    dependencies = CALLER

    @get("/{job_id:str}", operation_id="GetExport")
    async def get_export(self, caller: NamedDependency[Caller], job_id: FromPath[str]) -> JobShown:
        """An export: how far it is, and where its file is."""
        return (await jobs.get(caller, parse_id(job_id), exports.KIND)).shown()

    @get("/{job_id:str}/download", operation_id="DownloadExport", responses=_FILE)
    async def download(
        self, caller: NamedDependency[Caller], objects: NamedDependency[ObjectStore], job_id: FromPath[str]
    ) -> Stream:
        """The file that an export made, for who asked for it and may still export."""
        form, size, pieces = await exports.result(caller, objects, parse_id(job_id))
        headers = {**_named(form), "content-length": str(size)}
        return Stream(pieces, media_type=MEDIA_TYPES[form], headers=headers)


def _asked(
    request: Request[Any, Any, Any], form: Format, sort: str | None, fields: str | None, view: str | None, bom: bool,
    guard: bool,
) -> ExportRequest:  # fmt: skip
    pairs = [(name, value) for name, value in request.query_params.multi_items() if name.startswith("filter")]
    return ExportRequest(format=form, pairs=pairs, sort=sort, fields=fields, view=view, bom=bom, guard=guard)


def _named(form: Format) -> dict[str, str]:
    return {
        "content-disposition": f'attachment; filename="records.{form}"',
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
    }
