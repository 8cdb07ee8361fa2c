r"""Filters in a query string.

`filter[score][gte]=50`, `filter[stage]=won` (no operator means eq), `filter[company.industry]=steel`, and
`filter={…}` for a JSON tree. Operators that take several values take them separated by commas, a comma in a value
is written `\,`; `filter[email][is_null]=` means true. Everything given must hold.
"""

import re
from collections.abc import Iterable
from decimal import Decimal

import msgspec

from libs.common.filters.operators import Shape, shape
from libs.common.filters.parse import Parser, Places
from libs.common.filters.schema import Schema
from libs.common.filters.syntax import And, Node, Op

_KEY = re.compile(r"filter\[([^\[\]]+)\](?:\[([^\[\]]*)\])?")
_SEPARATOR = re.compile(r"(?<!\\),")
_JSON = msgspec.json.Decoder(float_hook=Decimal)
_SEVERAL = {op.value for op in Op if shape(op) in (Shape.TWO, Shape.MANY)}
_FLAGS = {op.value for op in Op if shape(op) is Shape.FLAG}


def parse_query(pairs: Iterable[tuple[str, str]], schema: Schema) -> Node | None:
    """The filter in the pairs of a query string, None without one; other keys are ignored. Raises Invalid."""
    parser = Parser()
    nodes = [_node(parser, key, value, schema) for key, value in pairs if key.startswith("filter")]
    found = [node for node in nodes if node is not None]
    parser.check()
    if len(found) > 1:
        return And(tuple(found))
    return found[0] if found else None


def _node(parser: Parser, key: str, value: str, schema: Schema) -> Node | None:
    if key == "filter":
        return _tree(parser, value, schema)
    match = _KEY.fullmatch(key)
    if match:
        return _comparison(parser, match[1], match[2] or "eq", value, schema)
    if key.startswith("filter["):
        parser.fault(f"/{key}", "invalid_filter", "filter[field]=value or filter[field][operator]=value is expected.")
    return None


def _tree(parser: Parser, text: str, schema: Schema) -> Node | None:
    try:
        tree = _JSON.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        parser.fault("/filter", "invalid_json", "A JSON object is expected.")
        return None
    return parser.node(tree, schema, "/filter")


def _comparison(parser: Parser, path: str, op: str, text: str, schema: Schema) -> Node:
    place = f"/filter/{path}"
    at = Places(place, f"{place}/{op}", f"{place}/{op}")
    if not parser.count(place):
        return And(())
    return parser.comparison(path, op, _value(op, text), schema, at)


def _value(op: str, text: str) -> object:
    if op in _FLAGS:
        return text or True
    if op in _SEVERAL:
        return [part.replace("\\,", ",") for part in _SEPARATOR.split(text)] if text else []
    return text
