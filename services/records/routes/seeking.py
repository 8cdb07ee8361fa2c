"""Search and traversal as most clients ask for them, read without the framework; anything else is left to it."""

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias
from urllib.parse import parse_qsl

import msgspec
from litestar.types import Scope

from libs.common import pages
from libs.common.ids import parse_id
from services.records.domain.languages import preferred
from services.records.domain.paths import parse_steps
from services.records.routes.answers import page_body
from services.records.routes.relationships import parse_after
from services.records.usecases.caller import Caller
from services.records.usecases.searching import SearchRequest, find
from services.records.usecases.traverse import traverse

Answering: TypeAlias = Callable[[Caller], Awaitable[bytes]]
_SEARCH = "/api/v1/search"
_RECORDS = "/api/v1/records/"
_TRAVERSE = "/api/v1/records/{record_id}/traverse"
_OF_SEARCH = frozenset(("q", "pipeline_id", "limit", "cursor", "language", "count"))
_OF_WALKS = frozenset(("path", "direction", "max_depth", "limit", "cursor", "count"))
_NUMBERS = ("limit", "max_depth")
_NUMBER = re.compile("[0-9]{1,4}")
_json = msgspec.json.Encoder()


def asked(scope: Scope) -> Answering | None:
    """What answers the question; nothing where it is none of these, or not put in the plainest way."""
    if scope.get("method") != "GET":
        return None
    if scope["path"] == _SEARCH:
        given, spoken = _given(scope["query_string"], _OF_SEARCH), _header(scope["headers"], b"accept-language")
        if given is None or "q" not in given or spoken is None:
            return None
        scope["path_template"] = _SEARCH
        return _search(given, spoken)
    parts = scope["path"].removeprefix(_RECORDS).split("/")
    if scope["path"].startswith(_RECORDS) and len(parts) == 2 and parts[1] == "traverse":
        given = _given(scope["query_string"], _OF_WALKS)
        if given is not None:
            scope["path_template"] = _TRAVERSE
            return _walk(parts[0], given)
    return None


def _given(query: bytes, names: frozenset[str]) -> dict[str, str] | None:
    if not query.isascii():
        return None
    pairs = parse_qsl(query.decode(), keep_blank_values=True)
    given = dict(pairs)
    plain = len(given) == len(pairs) and given.keys() <= names and "\ufffd" not in "".join(given.values())
    digits = all(_NUMBER.fullmatch(given[name]) for name in _NUMBERS if name in given)
    counts = given.get("count", "none") in ("none", "estimated", "exact")
    return given if plain and digits and counts else None


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    found = [value for known, value in headers if known == name]
    return None if len(found) > 1 else (found[0].decode("latin-1") if found else "")


def _search(given: dict[str, str], spoken: str) -> Answering:
    async def answer(caller: Caller) -> bytes:
        where = parse_id(given["pipeline_id"]) if "pipeline_id" in given else None
        request = SearchRequest(
            q=given["q"], pipeline_id=where, limit=int(given.get("limit", 50)), cursor=given.get("cursor"),
            language=preferred(given.get("language") or spoken), counted=given.get("count", "none") != "none",
        )  # fmt: skip
        return _json.encode(await find(caller, request))

    return answer


def _walk(record_id: str, given: dict[str, str]) -> Answering:
    async def answer(caller: Caller) -> bytes:
        limit, deep, path = int(given.get("limit", 50)), given.get("max_depth"), given.get("path")
        pages.check_limit(limit)
        steps = parse_steps(path, given.get("direction", "both"), int(deep) if deep else None)
        after = parse_after(given.get("cursor"))
        found = await traverse(caller, parse_id(record_id), steps, ends_only=bool(path), after=after, limit=limit)
        count = None if given.get("count", "none") == "none" else found.count
        return page_body(found.bodies, None if found.last is None else found.last.hex, count).encode()

    return answer
