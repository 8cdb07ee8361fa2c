"""Errors at the edge: RFC 9457 problem documents. The one place that knows status codes."""

import math
from typing import Final

import msgspec

from libs.common.errors import AppError

# What a list of one's own, such as a batch or a filter, may have at most and still be told whole.
MAX_FAULTS: Final = 1000
MEDIA_TYPE: Final = "application/problem+json"

STATUS: Final[dict[str, tuple[int, str]]] = {
    "internal": (500, "Internal error"),
    "malformed-request": (400, "Malformed request"),
    "unauthenticated": (401, "Unauthenticated"),
    "forbidden": (403, "Forbidden"),
    "not-found": (404, "Not found"),
    "method-not-allowed": (405, "Method not allowed"),
    "conflict": (409, "Conflict"),
    "gone": (410, "Gone"),
    "stale-version": (412, "Stale version"),
    "too-large": (413, "Content too large"),
    "unsupported-media-type": (415, "Unsupported media type"),
    "validation-failed": (422, "Validation failed"),
    "version-required": (428, "Version required"),
    "rate-limited": (429, "Too many requests"),
    "unavailable": (503, "Service unavailable"),
}

_encode = msgspec.json.Encoder(enc_hook=str).encode


def render(error: AppError, *, request_id: str, instance: str) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body of the problem document for an error."""
    status, title = STATUS[error.kind]
    detail = error.detail if status != 500 else "An unexpected error occurred; the request id finds it in the logs."
    document: dict[str, object] = {
        "type": f"/problems/{error.code}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": instance,
        "request_id": request_id,
    }
    if error.errors:
        document["errors"] = error.errors[:MAX_FAULTS]
    if status != 500:
        document |= error.extra
    return status, _headers(error, status), _encode(document)


def _headers(error: AppError, status: int) -> list[tuple[str, str]]:
    headers = [("content-type", MEDIA_TYPE)]
    if status == 401:
        headers.append(("www-authenticate", 'Bearer realm="millrace"'))
    if error.retry_after is not None or status in (429, 503):
        headers.append(("retry-after", str(max(1, math.ceil(error.retry_after or 1)))))
    return headers
