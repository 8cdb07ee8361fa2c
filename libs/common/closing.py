"""What the OpenAPI document says of bodies that refuse unknown members: `additionalProperties: false`.

The framework describes a Struct without it. Types and schemas are walked side by side, so that it is said of what
refuses them and of nothing else: a schema that has other properties than the Struct is left as it is.
"""

from collections.abc import Callable
from typing import Any

from msgspec import inspect

Document = dict[str, Any]
Resolve = Callable[[Document], Document]

_ITEMS = (inspect.ListType, inspect.SetType, inspect.FrozenSetType, inspect.VarTupleType)


def close(schema: Document, annotation: Any, resolve: Resolve) -> None:
    """Says of a body's schema, and of what it consists of, where nothing else may stand."""
    _close(schema, inspect.type_info(annotation), resolve, set())


def _close(schema: Document, info: inspect.Type, resolve: Resolve, seen: set[int]) -> None:
    schema = resolve(schema)
    while isinstance(info, inspect.Metadata):
        info = info.type
    if isinstance(info, inspect.UnionType):
        options = schema.get("anyOf") or schema.get("oneOf") or [schema]
        for option in options:
            for member in info.types:
                _close(option, member, resolve, seen)
    elif isinstance(info, inspect.StructType):
        _close_struct(schema, info, resolve, seen)
    elif isinstance(info, _ITEMS) and isinstance(schema.get("items"), dict):
        _close(schema["items"], info.item_type, resolve, seen)
    elif isinstance(info, inspect.DictType) and isinstance(schema.get("additionalProperties"), dict):
        _close(schema["additionalProperties"], info.value_type, resolve, seen)


def _close_struct(schema: Document, info: inspect.StructType, resolve: Resolve, seen: set[int]) -> None:
    properties = schema.get("properties")
    names = {field.encode_name for field in info.fields}
    if id(schema) in seen or properties is None or properties.keys() - {info.tag_field} != names:
        return
    seen.add(id(schema))
    if info.forbid_unknown_fields:
        if info.tag_field is not None:
            properties.setdefault(info.tag_field, {"const": info.tag})
        schema["additionalProperties"] = False
    for field in info.fields:
        _close(properties[field.encode_name], field.type, resolve, seen)
