"""A pipeline's `data` as JSON Schema (2020-12), for validators off the shelf.

It describes values in the form that records keep them in; records take some others as well (`"12.50"` as an amount, a
number without its country) and bring them into this form. What a schema cannot say is left to records: whether a value
is unique, a record, user or file exists, a telephone can be called, what transitions between stages and rules allow.
"""

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from libs.common.filters.durations import CANONICAL
from services.pipelines.domain import fields as types
from services.pipelines.domain.codes import CURRENCIES, REGIONS, decimals_of
from services.pipelines.domain.pipelines import Pipeline
from services.pipelines.domain.values import MAX_TAG, MAX_TAGS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MAX_RELATED = 1000
MAX_USERS = 100
MAX_FILES = 100
MAX_URL = 2048
INT64 = 2**63
BLANK: list[object] = [None, "", [], {}]

Json = dict[str, Any]


def json_schema(pipeline: Pipeline) -> Json:
    """The schema of `data` of a new record."""
    shown = pipeline.fields
    moving = {name for rule in pipeline.rules if rule.effect != "require" for name in rule.fields}
    schema: Json = {
        "$schema": DIALECT,
        "title": pipeline.name,
        "type": "object",
        "properties": {field.name: _property(field, field.required and field.name not in moving) for field in shown},
        "required": [
            field.name for field in shown if field.required and field.name not in moving and field.default is None
        ],
        "additionalProperties": False,
    }
    entering = [rule for field in shown if isinstance(field, types.StageField) for rule in _entering(field, pipeline)]
    return {**schema, "allOf": entering} if entering else schema


def _property(field: types.AnyField, required: bool) -> Json:
    own = _SCHEMAS[type(field)](field)
    words = {"title": field.label, "description": field.help}
    told = {name: text for name, text in words.items() if text is not None}
    if required:
        return {**told, "allOf": [own, {"not": {"enum": BLANK}}]}
    blank = [{"const": ""}] if isinstance(field, _MAY_BE_EMPTY) else []
    return {**told, "anyOf": [own, *blank, {"type": "null"}]}


def _entering(stage: types.StageField, pipeline: Pipeline) -> Iterator[Json]:
    defaults = {field.name for field in pipeline.fields if field.default is not None}
    given = {field.name for field in pipeline.fields if isinstance(field, types.AutoNumberField)}
    for one in stage.stages:
        needed = [name for name in one.required_fields if name not in given]
        if needed:
            entered: Json = {"properties": {stage.name: {"const": one.value}}}
            if one.value != stage.default:
                entered = {**entered, "required": [stage.name]}
            there = {
                "properties": {name: {"not": {"enum": BLANK}} for name in needed},
                "required": [name for name in needed if name not in defaults],
            }
            yield {"if": entered, "then": there}


def _text(field: types.TextField) -> Json:
    schema: Json = {"type": "string", "maxLength": types.MAX_TEXT if field.max_length is None else field.max_length}
    if field.min_length:
        schema["minLength"] = field.min_length
    if field.pattern is not None and _portable(field.pattern):
        schema["pattern"] = field.pattern
    return schema


def _portable(pattern: str) -> bool:
    """Whether validators read an expression as RE2 does: no flags, no classes that only RE2 knows."""
    if re.search(r"\(\?|\\[^dwstnrfv.\\/()\[\]{}+*?|^$-]|\[\[", pattern):
        return False
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def _number(field: types.NumberField) -> Json:
    schema: Json = {"type": "integer" if field.kind == "integer" else "number"}
    low, high = field.min, field.max
    if field.kind == "integer":
        low = -INT64 if low is None else max(low, -INT64)
        high = INT64 - 1 if high is None else min(high, INT64 - 1)
    bounds = {"minimum": low, "maximum": high}
    schema |= {name: bound for name, bound in bounds.items() if bound is not None}
    # Validators divide doubles, and 0.3 is no multiple of 0.1 to them.
    if (
        field.step is not None
        and Fraction(field.step).denominator == 1
        and not Fraction(field.min or 0) % int(field.step)
    ):
        schema["multipleOf"] = int(field.step)
    return schema


def _one_of(values: list[str]) -> Json:
    return {"enum": values}


def _list_of(item: Json, most: int) -> Json:
    return {"type": "array", "items": item, "maxItems": most}


def _relation(field: types.RelationField) -> Json:
    one = {"type": "string", "format": "uuid"}
    return _list_of(one, MAX_RELATED) if field.cardinality in ("one_to_many", "many_to_many") else one


def _user(field: types.UserField) -> Json:
    one = {"type": "string", "format": "uuid"}
    return _list_of(one, MAX_USERS) if field.multiple else one


def _file(field: types.FileField) -> Json:
    one = {"type": "string", "format": "uuid"}
    return _list_of(one, MAX_FILES) if field.multiple else one


def _currency(field: types.CurrencyField) -> Json:
    codes = sorted(CURRENCIES) if field.currency is None else [field.currency]
    amount = {"type": "number", "exclusiveMinimum": -(10**15), "exclusiveMaximum": 10**15}
    schema: Json = {
        "type": "object",
        "properties": {"amount": amount, "currency": {"enum": codes}},
        "required": ["amount"] if field.currency else ["amount", "currency"],
        "additionalProperties": False,
    }
    whole = [code for code in codes if (decimals_of(code) if field.decimals is None else field.decimals) == 0]
    if whole:
        then = {"properties": {"amount": {"type": "integer"}}}
        schema |= {"if": {"properties": {"currency": {"enum": whole}}}, "then": then}
    return schema


def _address(_: types.AddressField) -> Json:
    text: Json = {"anyOf": [{"type": "string", "maxLength": 500}, {"type": "null"}]}
    country: Json = {"enum": [*sorted(REGIONS), "", None]}
    parts = {part: country if part == "country" else text for part in types.ADDRESS}
    return {"type": "object", "properties": parts, "additionalProperties": False}


_RESULTS: dict[str | None, Json] = {
    "number": {"type": "number"},
    "text": {"type": "string"},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"},
}


def _computed(field: types.ComputedField) -> Json:
    one = _RESULTS.get(field.result_type, {})
    several = isinstance(field, types.LookupField) and field.multiple
    return {**(_list_of(one, MAX_RELATED) if several else one), "readOnly": True}


_MAY_BE_EMPTY = (
    types.TextField, types.EmailField, types.UrlField, types.PhoneField, types.DurationField,
)  # fmt: skip

_SCHEMAS: dict[type[types.AnyField], Callable[[Any], Json]] = {
    types.TextField: _text,
    types.TextareaField: _text,
    types.NumberField: _number,
    types.BooleanField: lambda _: {"type": "boolean"},
    types.DateField: lambda _: {"type": "string", "format": "date", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
    types.DatetimeField: lambda _: {"type": "string", "format": "date-time"},
    types.EmailField: lambda _: {"type": "string", "format": "email", "maxLength": 320},
    types.UrlField: lambda _: {"type": "string", "format": "uri", "pattern": "^https?://", "maxLength": MAX_URL},
    types.SelectField: lambda field: _one_of([option.value for option in field.options]),
    types.MultiselectField: lambda field: _list_of(_one_of([o.value for o in field.options]), MAX_RELATED),
    types.TagsField: lambda _: _list_of(
        {"type": "string", "minLength": 1, "maxLength": MAX_TAG, "pattern": r"\S"}, MAX_TAGS
    ),
    types.StageField: lambda field: _one_of([stage.value for stage in field.stages]),
    types.RelationField: _relation,
    types.UserField: _user,
    types.FileField: _file,
    types.CurrencyField: _currency,
    types.AddressField: _address,
    types.PhoneField: lambda _: {"type": "string", "pattern": r"^\+[1-9][0-9]{1,16}$"},
    types.DurationField: lambda _: {"type": "string", "pattern": f"^{CANONICAL}$"},
    types.RatingField: lambda field: {"type": "integer", "minimum": 0, "maximum": field.max},
    types.JsonField: lambda _: {"not": {"type": "null"}},
    types.ButtonField: lambda _: {"type": "null"},
    types.AutoNumberField: lambda _: {"type": "string", "readOnly": True},
    types.FormulaField: _computed,
    types.LookupField: _computed,
    types.RollupField: _computed,
}
