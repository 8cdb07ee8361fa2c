"""Parts of a file that a client asks for (RFC 9110 §14)."""

import re

_RANGE = re.compile(r"bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*")


def part(header: str | None, size: int) -> tuple[int, int] | None:
    """Where the one part that is asked for begins and ends; what cannot be given is not asked, and all is given."""
    found = _RANGE.fullmatch(header or "")
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
    return (start, end) if start < end else None
