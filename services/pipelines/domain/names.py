"""What names look like: of fields, of types of relationships, of pipelines in addresses, of colours."""

import re
import unicodedata
from collections.abc import Iterator

from libs.common.errors import Fault

RESERVED = frozenset(
    (
        "id", "version", "title", "created_at", "created_by", "updated_at", "updated_by", "pipeline_id", "deleted_at",
        "data",
    )
)  # fmt: skip
MAX_SLUG = 63

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_SLUG = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")
_COLOR = re.compile(r"#(?:[0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})|[a-z][a-z0-9-]*")


def field_name_faults(name: str, pointer: str) -> Iterator[Fault]:
    """A field's name is a lower-case word that no property of records has."""
    yield from type_name_faults(name, pointer)
    if name in RESERVED:
        yield Fault(pointer, "reserved", f"'{name}' is a property that every record has")


def type_name_faults(name: str, pointer: str) -> Iterator[Fault]:
    """Lower-case letters, digits and underscores, a letter first, at most 63."""
    if not _NAME.fullmatch(name):
        yield Fault(pointer, "invalid_name", "A name has a-z, 0-9 and _, begins with a letter, and is 1 to 63 long")


def slug_faults(slug: str, pointer: str) -> Iterator[Fault]:
    """A pipeline's slug is words of a-z and 0-9, joined by - or _."""
    if len(slug) > MAX_SLUG or not _SLUG.fullmatch(slug):
        yield Fault(pointer, "invalid_slug", "A slug is words of a-z and 0-9 joined by - or _, 1 to 63 long")


def color_faults(color: str | None, pointer: str) -> Iterator[Fault]:
    """A colour is `#rgb`, `#rrggbb` or a name."""
    if color is not None and not _COLOR.fullmatch(color):
        yield Fault(pointer, "invalid_color", "A colour is #rgb, #rrggbb or a name such as blue")


def slugify(name: str) -> str:
    """A slug made of a name: `Große Deals!` becomes `grosse-deals`; `pipeline` where nothing is left."""
    plain = unicodedata.normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode()
    slug = "-".join(re.findall(r"[a-z0-9]+", plain))
    return slug[: MAX_SLUG - 8].strip("-") or "pipeline"
