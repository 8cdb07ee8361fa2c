"""What is said of a relationship itself, as JSON text; `Wrong` where it is too deep or too large."""

from collections.abc import Mapping

import msgspec

from services.records.domain.fields import merge
from services.records.domain.structures import check_json
from services.records.domain.values import Wrong

MAX_BYTES = 16 * 1024


def said(given: Mapping[str, object] | None) -> str | Wrong | None:
    """The text of what is given; none of nothing."""
    if not given:
        return None
    try:
        return check_json(given, MAX_BYTES)
    except Wrong as wrong:
        return wrong


def patched(known: str | None, patch: Mapping[str, object] | None) -> str | Wrong | None:
    """What is said after a merge patch, or after null, which takes all away."""
    wrong = said(patch)
    if patch is None or isinstance(wrong, Wrong):
        return wrong
    after = merge(msgspec.json.decode(known) if known else {}, dict(patch))
    return said(after) if isinstance(after, dict) else None
