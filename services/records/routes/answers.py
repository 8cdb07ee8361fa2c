"""Answers whose bodies are JSON text already: they reach the socket as they are."""

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec
from litestar.openapi import ResponseSpec
from litestar.response.base import ASGIResponse

from libs.common.errors import Malformed, StaleVersion
from services.records.domain.records import Edge, Record
from services.records.routes.shapes import Relationship

_ETAG = re.compile(r'(?:W/)?"(\d{1,18})"')
EMPTY: Mapping[str, str] = MappingProxyType({})
_TOKENS = re.compile(r"\s*\d{1,18}(\s*,\s*\d{1,18}){0,19}\s*")
_json = msgspec.json.Encoder()


def answer(body: str | bytes, status: int = 200, headers: Mapping[str, str] = EMPTY) -> ASGIResponse:
    """A prepared JSON response."""
    content = body.encode() if isinstance(body, str) else body
    return ASGIResponse(body=content, status_code=status, media_type="application/json", headers=dict(headers))


def record_answer(
    record: Record | str, version: int, status: int = 200, headers: Mapping[str, str] = EMPTY
) -> ASGIResponse:
    """A record with its version as the entity tag."""
    body = record if isinstance(record, str) else _json.encode(record)
    return answer(body, status, {"etag": f'"{version}"', **headers})


def made_answer(record: Record | str, version: int, edges: Iterable[Edge], location: str) -> ASGIResponse:
    """A record that was just made, with the relationships that were asked for."""
    body = record if isinstance(record, str) else _json.encode(record).decode()
    shown = _json.encode([Relationship.of(edge) for edge in edges]).decode()
    full = f'{body[:-1]},"relationships":{shown}}}'
    return answer(full, 201, {"etag": f'"{version}"', "location": location})


def page_answer(
    bodies: Sequence[str], cursor: str | None, count: int | None, headers: Mapping[str, str]
) -> ASGIResponse:
    """A page of records."""
    return answer(page_body(bodies, cursor, count), 200, headers)


def page_body(bodies: Sequence[str], cursor: str | None, count: int | None) -> str:
    """A page of records as JSON."""
    end = "null" if cursor is None else f'"{cursor}"'
    counted = "" if count is None else f',"count":{count}'
    return f'{{"items":[{",".join(bodies)}],"next_cursor":{end}{counted}}}'


def tagged_version(etag: str | None) -> int | None:
    """The version that `If-Match` names; null where any will do. A tag that is none of ours is stale."""
    if etag is None or etag.strip() == "*":
        return None
    found = _ETAG.fullmatch(etag.strip())
    if found is None:
        raise StaleVersion("'If-Match' names no version of this record")
    return int(found[1])


def lock_tokens(header: str | None) -> tuple[int, ...]:
    """The tokens of locks that `X-Lock-Token` names, 20 at most."""
    if header is None:
        return ()
    if not _TOKENS.fullmatch(header):
        raise Malformed("'X-Lock-Token' has up to 20 numbers, with commas")
    return tuple(int(token) for token in header.split(","))


def not_modified(if_none_match: str | None, version: int) -> bool:
    """Whether the client has this version."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or str(version) in _ETAG.findall(if_none_match)


def answers(shape: Any, status: int = 200, description: str = "") -> dict[int, ResponseSpec]:
    """What the document says of a prepared answer."""
    return {status: ResponseSpec(data_container=shape, generate_examples=False, description=description or "Success")}
