"""The types of fields told to clients: what each is, and the JSON Schema of its options."""

from functools import cache
from typing import Any

import msgspec

from libs.common.formulas import FUNCTIONS
from services.pipelines.domain.fields import TYPES, AnyField, Field, FormulaField


class FormulaFunction(msgspec.Struct, frozen=True):
    """A function: the types of what it takes and gives; with `repeats` the last may come again, `least` must come."""

    name: str
    takes: list[str]
    gives: str
    least: int
    repeats: bool
    description: str


class FieldType(msgspec.Struct, frozen=True):
    """One type. `options` is a JSON Schema (2020-12) of what a field of it has besides the common attributes;
    `functions` are those of its expressions.
    """

    type: str
    description: str
    may_be_unique: bool
    may_be_indexed: bool
    may_be_searched: bool
    may_have_default: bool
    options: dict[str, Any]
    functions: list[FormulaFunction] = []


@cache
def describe() -> list[FieldType]:
    """All types, in a fixed order."""
    return [_describe(name, cls) for name, cls in TYPES.items()]


def _describe(name: str, cls: type[AnyField]) -> FieldType:
    description = (cls.__doc__ or "").strip()
    flags = (cls.may_be_unique, cls.may_be_indexed, cls.may_be_searched, cls.may_have_default)
    return FieldType(name, description, *flags, options=_options(cls), functions=_functions(cls))


def _functions(cls: type[AnyField]) -> list[FormulaFunction]:
    if cls is not FormulaField:
        return []
    chosen = FormulaFunction("if", ["boolean", "any", "same"], "same", 2, False, "the second where the first is true")
    return [chosen] + [
        FormulaFunction(
            it.name, list(it.takes), it.gives, len(it.takes) if it.least is None else it.least, it.repeats, it.doc
        )
        for it in FUNCTIONS.values()
    ]


def _options(cls: type[AnyField]) -> dict[str, Any]:
    _, components = msgspec.json.schema_components([cls], ref_template="#/$defs/{name}")
    whole = components.pop(cls.__name__)
    common = {"type", *Field.__struct_fields__}
    options: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {key: value for key, value in whole["properties"].items() if key not in common},
        "required": [key for key in whole["required"] if key not in common],
        "additionalProperties": False,
    }
    return {**options, "$defs": components} if components else options
