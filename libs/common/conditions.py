"""Conditional requests (RFC 9110, section 13): a version is sent as `ETag: "3"`."""

import re
from collections.abc import Collection
from typing import Annotated, TypeAlias

from litestar.params import HeaderParameter

from libs.common.errors import Malformed, StaleVersion

IfMatch: TypeAlias = Annotated[str | None, HeaderParameter(name="If-Match")]
IfNoneMatch: TypeAlias = Annotated[str | None, HeaderParameter(name="If-None-Match")]

_TAG = re.compile(r'(?:W/)?"([^"]*)"')
_LIST = re.compile(r'\s*(?:W/)?"[^"]*"\s*(?:,\s*(?:W/)?"[^"]*"\s*)*')


def etag(version: int) -> dict[str, str]:
    """The header that says which version an answer shows."""
    return {"ETag": f'"{version}"'}


def versions(header: str | None) -> frozenset[int] | None:
    """The versions that `If-Match` or `If-None-Match` names; None where it says nothing, or `*`."""
    if header is None or header.strip() == "*":
        return None
    if not _LIST.fullmatch(header):
        raise Malformed('If-Match and If-None-Match take entity tags such as "3"')
    return frozenset(int(tag) for tag in _TAG.findall(header) if re.fullmatch(r"[0-9]{1,18}", tag))


def unchanged(if_none_match: str | None, version: int) -> bool:
    """Whether the client has this version already."""
    if if_none_match is None:
        return False
    known = versions(if_none_match)
    return known is None or version in known


def check(present: int, expected: Collection[int] | None) -> None:
    """Refuses where the version that is there is none that the client knows."""
    if expected is not None and present not in expected:
        raise StaleVersion(f"The version is {present} by now", extra={"version": present})
