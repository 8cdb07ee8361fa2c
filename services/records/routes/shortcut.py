"""The two hottest questions, one record and one page of a list, answered before the framework is reached.

Routing, dependency injection and response objects cost more than the read itself. What is answered here is the same as
in `records.py`, which documents these routes and answers every other form of them.
"""

from collections.abc import Iterable
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec
from litestar.types import ASGIApp, Receive, Scope, Send

from libs.common.app import Platform
from libs.common.edge import respond
from libs.common.errors import AppError, Fault, Invalid
from libs.common.tokens import bearer
from services.records.domain import origin
from services.records.routes.answers import not_modified, page_body
from services.records.usecases import read
from services.records.usecases.caller import Caller
from services.records.usecases.catalog import Catalog
from services.records.usecases.read import ListRequest

_PREFIX = "/api/v1/pipelines/"
_ONE = "/api/v1/pipelines/{pipeline_id}/records/{record_id}"
_LIST = "/api/v1/pipelines/{pipeline_id}/records"
_OPTIONS = ("sort", "limit", "cursor", "fields", "expand", "count", "view")

Headers = Iterable[tuple[bytes, bytes]]
Answer = tuple[int, str, tuple[tuple[bytes, bytes], ...]]


class Shortcut:
    """An ASGI layer before the framework."""

    def __init__(self, app: ASGIApp, platform: Platform, catalog: Catalog) -> None:
        self._app = app
        self._platform = platform
        self._catalog = catalog

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers what it knows and passes everything else on."""
        ids = None if scope["type"] == "lifespan" else _ids(scope)  # type: ignore[comparison-overlap]
        if ids is None:
            origin.CURRENT.set(origin.of_agent(dict(scope.get("headers", ())).get(b"user-agent")))
            return await self._app(scope, receive, send)
        try:
            status, body, headers = await self._answer(scope, *ids)
        except AppError as error:
            return await respond(error, scope, send)
        content = body.encode()
        length = (b"content-length", str(len(content)).encode())
        known = [(b"content-type", b"application/json"), length, *headers] if status == 200 else [*headers]
        await send({"type": "http.response.start", "status": status, "headers": known})
        await send({"type": "http.response.body", "body": content, "more_body": False})

    async def _answer(self, scope: Scope, pipeline_id: UUID, record_id: UUID | None) -> Answer:
        authorization, known = _headers(scope["headers"])
        principal, permissions = await self._platform.authenticate(bearer(authorization))
        caller = Caller(principal, permissions, self._catalog, self._platform.database)
        position = str(caller.position(self._platform.bus)).encode()
        if record_id is None:
            page = await read.list_records(caller, pipeline_id, _asked(scope["query_string"]))
            return 200, page_body(page.bodies, page.next_cursor, page.count), ((b"change-seq", position),)
        version, body = await read.plain(caller, await caller.reach(pipeline_id), record_id)
        headers = (b"etag", b'"%d"' % version), (b"change-seq", position)
        return (304, "", headers) if not_modified(known, version) else (200, body, headers)


def _ids(scope: Scope) -> tuple[UUID, UUID | None] | None:
    """Pipeline and record of a plain read, pipeline alone of a list; null where it is anything else."""
    if not scope["path"].startswith(_PREFIX) or scope.get("method") != "GET":
        return None
    parts = scope["path"].split("/")
    if len(parts) not in (6, 7) or parts[5] != "records" or (len(parts) == 7 and scope["query_string"]):
        return None
    try:
        found = UUID(parts[4]), UUID(parts[6]) if len(parts) == 7 else None
    except ValueError:
        return None
    scope["path_template"] = _LIST if found[1] is None else _ONE
    return found


def _headers(headers: Headers) -> tuple[str | None, str | None]:
    """`Authorization` and `If-None-Match`."""
    authorization, known = None, None
    for name, value in headers:
        if name == b"authorization":
            authorization = value.decode("latin-1")
        elif name == b"if-none-match":
            known = value.decode("latin-1")
    return authorization, known


def _asked(query: bytes) -> ListRequest:
    if not query:
        return ListRequest()
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    given = {name: value for name, value in pairs if name in _OPTIONS}
    try:
        return msgspec.convert({**given, "pairs": pairs}, ListRequest, strict=False)
    except msgspec.ValidationError:
        raise Invalid(errors=[Fault("/limit", "invalid_value", "'limit' is a number")]) from None
