"""The field types: a Struct each, flat as in the API, and what must hold within one field."""

from typing import TypeAlias

import msgspec

from services.pipelines.domain.fields.base import Field
from services.pipelines.domain.fields.choices import (
    Color,
    MultiselectField,
    SelectField,
    StageField,
    TagsField,
)
from services.pipelines.domain.fields.computed import (
    COMPUTED_KINDS,
    AcrossField,
    ComputedField,
    FormulaField,
    LookupField,
    ResultType,
    RollupField,
)
from services.pipelines.domain.fields.linked import Cardinality, FileField, RelationField, UserField
from services.pipelines.domain.fields.plain import (
    ADDRESS,
    MAX_AMOUNT_DIGITS,
    MAX_NUMBER,
    MAX_TEXT,
    AddressField,
    AutoNumberField,
    BooleanField,
    ButtonField,
    CurrencyField,
    DateField,
    DatetimeField,
    DurationField,
    EmailField,
    JsonField,
    NumberField,
    PhoneField,
    RatingField,
    TextareaField,
    TextField,
    UrlField,
)

__all__ = [
    "ADDRESS",
    "COMPUTED_KINDS",
    "MAX_AMOUNT_DIGITS",
    "MAX_NUMBER",
    "MAX_TEXT",
    "TYPES",
    "AcrossField",
    "AddressField",
    "AnyField",
    "AutoNumberField",
    "BooleanField",
    "ButtonField",
    "Cardinality",
    "Color",
    "ComputedField",
    "CurrencyField",
    "DateField",
    "DatetimeField",
    "DurationField",
    "EmailField",
    "Field",
    "FileField",
    "FormulaField",
    "JsonField",
    "LookupField",
    "MultiselectField",
    "NumberField",
    "PhoneField",
    "RatingField",
    "RelationField",
    "ResultType",
    "RollupField",
    "SelectField",
    "StageField",
    "TagsField",
    "TextField",
    "TextareaField",
    "UrlField",
    "UserField",
    "complete",
]  # fmt: skip

AnyField: TypeAlias = (
    TextField | TextareaField | NumberField | BooleanField | DateField | DatetimeField | EmailField | UrlField
    | SelectField | MultiselectField | TagsField | StageField | RelationField | CurrencyField | AutoNumberField
    | DurationField | PhoneField | AddressField | RatingField | UserField | FileField | JsonField | ButtonField
    | FormulaField | LookupField | RollupField
)  # fmt: skip

TYPES: dict[str, type[AnyField]] = {
    cls.type_name(): cls
    for cls in (
        TextField, TextareaField, NumberField, BooleanField, DateField, DatetimeField, EmailField, UrlField,
        SelectField, MultiselectField, TagsField, StageField, RelationField, CurrencyField, AutoNumberField,
        DurationField, PhoneField, AddressField, RatingField, UserField, FileField, JsonField, ButtonField,
        FormulaField, LookupField, RollupField,
    )
}  # fmt: skip


def complete(field: AnyField) -> AnyField:
    """The field with what its type gives where nothing was said."""
    label = field.label or field.name.replace("_", " ").capitalize()
    computed = isinstance(field, ComputedField)
    searchable = field.may_be_searched and not computed if field.searchable is None else field.searchable
    return msgspec.structs.replace(field, label=label, searchable=searchable)
