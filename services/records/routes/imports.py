"""Imports: a file in, a job out."""

import tempfile
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Stream

from libs.common import bodies
from libs.common.errors import Fault, Invalid, Malformed
from libs.common.ids import new_id, parse_id
from services.records.domain.jobs import JobShown
from services.records.routes.records import CALLER
from services.records.routes.uploads import Upload
from services.records.storage.objects import ObjectStore
from services.records.usecases import arriving, imports, jobs, reports
from services.records.usecases.caller import Caller
from services.records.usecases.importing import Options
from services.records.usecases.imports import MAX_BYTES, Preview

MAX_PREVIEW = 32 * 1024 * 1024
MappingParameter = Annotated[str | None, QueryParameter(description="JSON: the field of each column, or null")]


class ImportsController(Controller):
    """Imports into a pipeline."""

    path = "/pipelines/{pipeline_id:str}/imports"
    tags = ("Imports",)
    dependencies = CALLER
    request_max_body_size = MAX_BYTES + 1024 * 1024

    @post(status_code=202, operation_id="StartImport")
    async def start_import(
        self,
        request: Request[Any, Any, Any],
        caller: NamedDependency[Caller],
        objects: NamedDependency[ObjectStore],
        pipeline_id: FromPath[str],
        mapping: MappingParameter = None,
        upsert_by: FromQuery[str | None] = None,
        dry_run: FromQuery[bool] = False,
    ) -> Response[JobShown]:
        """Import CSV, NDJSON or XLSX, the bare body or a form's `file`; a form may hold the options as well.

        A column goes into the field that `mapping` names, or without one into the one that its name suggests. Rows that
        have the value of another record in `upsert_by`, a unique field, change that record. A dry run writes nothing
        and tells what would be refused. In fields of relations and users an id or a name may stand.
        """
        place = parse_id(pipeline_id)
        asked = _options({"mapping": mapping, "upsert_by": upsert_by}, dry_run)
        wanted = asked
        await caller.judged(place, lambda reach: imports.check_options(reach, wanted))
        upload, job_id = Upload(request, MAX_BYTES), new_id()
        key = imports.object_key(caller.tenant_id, job_id)
        try:
            await arriving.receive(caller, objects, job_id, key, upload.chunks())
            if upload.values:
                asked = _options({"mapping": mapping, "upsert_by": upsert_by, **upload.values}, dry_run)
            about = upload.head, upload.media_type, upload.name
            job = await imports.start(caller, place, job_id, *about, asked, upload.size)
        except BaseException:
            await objects.delete([key])
            raise
        return Response(job.shown(), status_code=202, headers={"location": f"/api/v1/imports/{job.id}"})

    @post("/preview", status_code=200, operation_id="PreviewImport", request_max_body_size=MAX_PREVIEW + 1024 * 1024)
    async def preview_import(
        self, request: Request[Any, Any, Any], caller: NamedDependency[Caller], pipeline_id: FromPath[str]
    ) -> Preview:
        """What the columns of a file hold, and the fields that their names suggest; nothing is kept."""
        place = parse_id(pipeline_id)
        imports.check_options(await caller.reach(place), Options())
        upload = Upload(request, MAX_PREVIEW)
        with tempfile.TemporaryFile() as file:
            async for chunk in upload.chunks():
                file.write(chunk)
            file.seek(0)
            return await imports.preview(caller, place, file, upload.media_type, upload.name)


class ImportJobsController(Controller):
    """Imports that were begun."""

    path = "/imports"
    tags = ("Imports",)
    dependencies = CALLER

    @get("/{job_id:str}", operation_id="GetImport")
    async def get_import(self, caller: NamedDependency[Caller], job_id: FromPath[str]) -> JobShown:
        """An import: how far it is, and how many rows were created, updated and refused, which sum up to those read."""
        return (await jobs.get(caller, parse_id(job_id), imports.KIND)).shown()

    @get("/{job_id:str}/report", operation_id="GetImportReport", media_type="text/csv")
    async def get_report(self, caller: NamedDependency[Caller], job_id: FromPath[str]) -> Stream:
        """The refused rows as CSV: each with its number, why it was refused, and what was in it."""
        lines = await reports.refused(caller, parse_id(job_id))
        headers = {"content-disposition": 'attachment; filename="refused.csv"'}
        return Stream(lines, media_type="text/csv", headers=headers)


def _options(given: dict[str, Any], dry_run: bool) -> Options:
    unknown = given.keys() - {"mapping", "upsert_by", "dry_run"}
    if unknown:
        raise Invalid(errors=[Fault(f"/{name}", "unknown_field", f"'{name}' is not known here") for name in unknown])
    dry = str(given.get("dry_run", dry_run)).strip().lower()
    if dry not in ("true", "false", "1", "0"):
        raise Invalid(errors=[Fault("/dry_run", "wrong_type", "true or false is expected")])
    return Options(
        mapping=_mapping(given["mapping"]), upsert_by=given["upsert_by"] or None, dry_run=dry in ("true", "1")
    )


def _mapping(text: str | None) -> dict[str, str | None] | None:
    if not text:
        return None
    try:
        return bodies.decode(text.encode(), dict[str, str | None])
    except (Malformed, Invalid, msgspec.MsgspecError):
        detail = "A JSON object of columns and fields is expected"
        raise Invalid(errors=[Fault("/mapping", "wrong_type", detail)]) from None
