"""Files of records: brought first, then named in a record's data, and got back by who may read that field."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, TypeAlias
from urllib.parse import quote
from uuid import UUID

import msgspec
from litestar import Controller, Request, get, post
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, FromQuery, HeaderParameter
from litestar.response import Stream

from libs.common.clock import rfc3339
from libs.common.ids import parse_id
from services.records.domain import ranges
from services.records.routes.records import CALLER, IfNoneMatch
from services.records.routes.uploads import Upload
from services.records.storage.files import File, object_key
from services.records.storage.objects import ObjectStore
from services.records.usecases import files
from services.records.usecases.caller import Caller

Range: TypeAlias = Annotated[str | None, HeaderParameter(name="Range")]
IfRange: TypeAlias = Annotated[str | None, HeaderParameter(name="If-Range")]

# What a browser could take for a page of ours.
_ACTIVE = ("text/html", "image/svg+xml", "application/xml", "text/xml", "application/xhtml+xml", "text/javascript")
_SAFE = {
    "content-security-policy": "sandbox; default-src 'none'",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "private, no-cache",
    "accept-ranges": "bytes",
}


class FileShown(msgspec.Struct, frozen=True):
    """A file. `media_type` was told from its contents, `digest` is SHA-256; its id goes into a record's data."""

    id: UUID
    pipeline_id: UUID
    field: str
    name: str
    media_type: str
    size: int
    digest: str
    uploaded_at: str
    uploaded_by: UUID

    @classmethod
    def of(cls, file: File) -> "FileShown":
        """The file as the API shows it."""
        shown = {**msgspec.structs.asdict(file), "uploaded_at": rfc3339(file.uploaded_at)}
        return cls(**shown)


class FilesController(Controller):
    """Files of a pipeline's records."""

    path = "/pipelines/{pipeline_id:str}/files"
    tags = ("Files",)
    dependencies = CALLER

    @post(operation_id="UploadFile", request_max_body_size=files.MAX_BYTES + 1024 * 1024)
    async def upload_file(
        self,
        request: Request[Any, Any, Any],
        caller: NamedDependency[Caller],
        objects: NamedDependency[ObjectStore],
        pipeline_id: FromPath[str],
        field: FromQuery[str],
        name: FromQuery[str] = "",
    ) -> FileShown:
        """Bring a file for a field, the bare body or a form's `file`; then give its id to a record's field.

        What it is is told from its contents. The field bounds its type and size; 256 MiB are the most of all. A file
        that no record holds is gone after a day, and one of a record that is deleted for good goes with it.
        """
        upload = _Named(request, name)
        return FileShown.of(await files.receive(caller, objects, parse_id(pipeline_id), field, upload))

    @get("/{file_id:str}/info", operation_id="DescribeFile")
    async def describe_file(
        self, caller: NamedDependency[Caller], pipeline_id: FromPath[str], file_id: FromPath[str]
    ) -> FileShown:
        """What is known of a file."""
        return FileShown.of(await files.find(caller, parse_id(pipeline_id), parse_id(file_id)))

    @get(
        "/{file_id:str}",
        operation_id="DownloadFile",
        responses={
            200: ResponseSpec(
                bytes, generate_examples=False, description="The file", media_type="application/octet-stream"
            )
        },
        response_headers=[ResponseHeader(name="etag", documentation_only=True)],
    )
    async def download_file(
        self,
        caller: NamedDependency[Caller],
        objects: NamedDependency[ObjectStore],
        pipeline_id: FromPath[str],
        file_id: FromPath[str],
        wanted: Range = None,
        if_range: IfRange = None,
        if_none_match: IfNoneMatch = None,
    ) -> Stream:
        """The bytes of a file, or the part that `Range` asks for; always to be saved, never to be shown as a page.

        Who may read the field that holds it, in a record that they may see, gets it.
        """
        file = await files.find(caller, parse_id(pipeline_id), parse_id(file_id))
        headers = {**_SAFE, "etag": f'"{file.digest}"', "content-disposition": _disposition(file.name)}
        if if_none_match is not None and (if_none_match.strip() == "*" or file.digest in if_none_match):
            return Stream(_nothing(), status_code=304, headers=headers)
        part = ranges.part(wanted, file.size) if if_range in (None, f'"{file.digest}"') else None
        start, end = part or (0, file.size)
        headers["content-length"] = str(end - start)
        if part is not None:
            headers["content-range"] = f"bytes {start}-{end - 1}/{file.size}"
        body = await _begun(objects.get(object_key(caller.tenant_id, file.id), start, end))
        media_type = "application/octet-stream" if file.media_type in _ACTIVE else file.media_type
        return Stream(body, status_code=200 if part is None else 206, media_type=media_type, headers=headers)


class _Named(Upload):
    """An upload whose name may stand in the query, as that of a bare body must."""

    def __init__(self, request: Request[Any, Any, Any], name: str) -> None:
        super().__init__(request, files.MAX_BYTES)
        self.name = name


def _disposition(name: str) -> str:
    plain = "".join(character if character.isascii() and character not in '"\\%' else "_" for character in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


async def _begun(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same chunks, of which the first is there: what fails fails before the answer begins."""
    first = await anext(chunks, b"")

    async def rest() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    return rest()


async def _nothing() -> AsyncIterator[bytes]:
    yield b""
