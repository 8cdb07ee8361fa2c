"""Files as they come: the bare body, or one part of a form (RFC 7578), in constant memory."""

from collections.abc import AsyncIterator
from typing import Any

from litestar import Request
from multipart import (  # type: ignore[import-untyped]
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
    parse_options_header,
)

from libs.common.errors import Fault, Invalid, Malformed, TooLarge

MAX_VALUE = 256 * 1024
HEAD = 8


class Upload:
    """One file and the values beside it. `chunks` is read once; afterwards the rest is known.

    `head` is how the file begins, `values` are the parts of the form that are no file, by name.
    """

    def __init__(self, request: Request[Any, Any, Any], limit: int) -> None:
        media, options = parse_options_header(request.headers.get("content-type", ""))
        self.media_type = media
        self.name = ""
        self.head = b""
        self.size = 0
        self.values: dict[str, str] = {}
        self._boundary = options.get("boundary", "") if media == "multipart/form-data" else None
        self._stream = request.stream()
        self._limit = limit

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes of the file."""
        if self._boundary == "":
            raise Malformed("The form's content type names no boundary")
        parts = self._bare() if self._boundary is None else self._form(self._boundary)
        async for chunk in parts:
            self.size += len(chunk)
            if self.size > self._limit:
                raise TooLarge(f"A file has at most {self._limit} bytes")
            if len(self.head) < HEAD:
                self.head = (self.head + chunk)[:HEAD]
            yield chunk
        if not self.size:
            raise Invalid(errors=[Fault("/file", "required", "A file that is not empty is required")])

    async def _bare(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            yield bytes(chunk)

    async def _form(self, boundary: str) -> AsyncIterator[bytes]:
        self.media_type = ""
        parser = PushMultipartParser(boundary, max_segment_count=20)
        part: MultipartSegment | None = None
        value = bytearray()
        try:
            async for piece in self._stream:
                for found in parser.parse(bytes(piece)) if piece else ():
                    if isinstance(found, MultipartSegment):
                        part, value = self._begin(found), bytearray()
                    elif found is None:
                        self._end(part, value)
                    elif part is not None and part.name == "file":
                        yield bytes(found)
                    else:
                        value += found
                        if len(value) > MAX_VALUE:
                            raise TooLarge(f"A value of a form has at most {MAX_VALUE} bytes")
            parser.close()
        except MultipartError as error:
            raise Malformed(f"The form cannot be read: {error}") from None

    def _begin(self, part: MultipartSegment) -> MultipartSegment:
        if part.name == "file":
            if self.media_type or self.size:
                raise Invalid(errors=[Fault("/file", "repeated", "One file is taken at a time")])
            self.media_type, self.name = part.content_type or "application/octet-stream", part.filename or ""
        return part

    def _end(self, part: MultipartSegment | None, value: bytearray) -> None:
        if part is not None and part.name and part.name != "file":
            self.values[part.name] = value.decode("utf-8", "replace")
