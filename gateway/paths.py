"""Path rules: one resource has one path, and a path is bounded and plain before anything looks at it.

Services see `/api/v1/<resource>` without a trailing slash, however the client wrote it.
"""

import re

from libs.common.errors import Malformed

MAX_TARGET = 16 * 1024
MAX_DEPTH = 20
API = "/api/v1/"
RAW_API = b"/api/v1/"

_VERSION = re.compile(rb"v\d+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PLAIN = re.compile(rb"[!$&'()*+,;=:@A-Za-z0-9._~%/-]*")


_CANONICAL = re.compile(rb"/api/v1(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*){1,%d}" % (MAX_DEPTH - 2))


def is_canonical(raw: bytes) -> bool:
    """Whether a path is as services see it already, without escapes and anything doubtful: most are."""
    return len(raw) <= MAX_TARGET and _CANONICAL.fullmatch(raw) is not None


def normalise(raw: bytes) -> bytes:
    """The path as services see it: version added, trailing slash removed. Other roots than `/api` stay."""
    if len(raw) > MAX_TARGET:
        raise Malformed("The path is too long.", code="path-too-long")
    if _PLAIN.fullmatch(raw) is None or b"//" in raw:
        raise Malformed("The path holds characters that a path may not hold.")
    path = raw.rstrip(b"/") or b"/"
    if path.startswith(RAW_API):
        return path
    if path.startswith(b"/api/"):
        return _with_version(path)
    if path == b"/ws" or path.startswith(b"/ws/"):
        return RAW_API + path[1:]
    return path


def _with_version(path: bytes) -> bytes:
    first = path[5:].partition(b"/")[0]
    return path if _VERSION.fullmatch(first) else RAW_API + path[5:]


def segments(decoded: str) -> list[str]:
    """The segments of a decoded path; relative ones, control characters and too many are refused."""
    parts = decoded.split("/")
    if len(parts) > MAX_DEPTH + 1:
        raise Malformed("The path has too many segments.", code="path-too-deep")
    if "." in parts or ".." in parts or "\\" in decoded or _CONTROL.search(decoded):
        raise Malformed("The path holds relative segments or control characters.")
    return parts[1:]
