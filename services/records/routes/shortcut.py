"""The hottest questions, one record, one page of a list, a search, a walk, answered before the framework is reached.

Routing, dependency injection and response objects cost more than the read itself. What is answered here is the same as
in `records.py`, `search.py` and `relationships.py`, which document these routes and answer every other form of them.
"""

from collections.abc import Coroutine, Iterable
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec
from litestar.types import ASGIApp, Receive, Scope, Send

from libs.common.app import Platform
from libs.common.edge import respond
from libs.common.errors import AppError, Fault, Invalid
from libs.common.tokens import bearer
from services.records.domain import origin
from services.records.routes import seeking
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
Answer = tuple[int, str | bytes, tuple[tuple[bytes, bytes], ...]]


class Shortcut:
    """An ASGI layer before the framework."""

    def __init__(self, app: ASGIApp, platform: Platform, catalog: Catalog) -> None:
        self._app = app
        self._platform = platform
        self._catalog = catalog

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers what it knows and passes everything else on."""
        known = None if scope["type"] == "lifespan" else self._known(scope)  # type: ignore[comparison-overlap]
        if known is None:
            origin.CURRENT.set(origin.of_agent(dict(scope.get("headers", ())).get(b"user-agent")))
            return await self._app(scope, receive, send)
        try:
            status, body, headers = await known
        except AppError as error:
            return await respond(error, scope, send)
        content = body.encode() if isinstance(body, str) else body
        length = (b"content-length", str(len(content)).encode())
        told = [(b"content-type", b"application/json"), length, *headers] if status == 200 else [*headers]
        await send({"type": "http.response.start", "status": status, "headers": told})
        await send({"type": "http.response.body", "body": content, "more_body": False})

    def _known(self, scope: Scope) -> Coroutine[None, None, Answer] | None:
        if (ids := _ids(scope)) is not None:
            return self._answer(scope, *ids)
        return None if (answering := seeking.asked(scope)) is None else self._seek(scope, answering)

    async def _seek(self, scope: Scope, answering: seeking.Answering) -> Answer:
        principal, permissions = await self._platform.authenticate(bearer(_headers(scope["headers"])[0]))
        caller = Caller(principal, permissions, self._catalog, self._platform.database)
        position = str(caller.position(self._platform.bus)).encode()
        return 200, await answering(caller), ((b"change-seq", position),)

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
