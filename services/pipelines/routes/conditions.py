"""Conditional requests (RFC 9110, section 13): a version is sent as `ETag: "3"`."""

import re

from libs.common.errors import Malformed

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
