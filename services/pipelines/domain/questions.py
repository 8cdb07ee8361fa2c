"""What filters and sorts may speak of in a pipeline: its fields, their parts, and what every record has."""

from collections.abc import Iterable

from libs.common import filters
from libs.common.errors import Fault, Invalid
from libs.common.filters import COLUMNS, Node, Schema
from services.pipelines.domain.definitions import Fields
from services.pipelines.domain.fields import (
    COMPUTED_KINDS,
    AnyField,
    ButtonField,
    ComputedField,
    FileField,
    LookupField,
    RelationField,
    UserField,
)
from services.pipelines.domain.names import type_name_faults


def schema(fields: Fields, *, columns: bool = True) -> Schema:
    """The names that a filter may use, without reaching other records; those that are none are left out."""
    own = {path: field for one in fields for path, field in _names(one)}
    return Schema({**own, **COLUMNS} if columns else own)


def _names(field: AnyField) -> Iterable[tuple[str, filters.Field]]:
    misnamed = any(type_name_faults(field.name, ""))
    if isinstance(field, ButtonField) or misnamed:
        return
    many = isinstance(field, UserField | FileField) and field.multiple
    many = many or (isinstance(field, RelationField) and field.cardinality in ("one_to_many", "many_to_many"))
    yield field.name, filters.Field(field.name, kind_of(field), many=many)
    for part, kind in field.parts.items():
        path = f"{field.name}.{part}"
        yield path, filters.Field(path, kind)


def kind_of(field: AnyField) -> filters.Kind:
    """The kind of a field's values to filters: that of what is computed, a list of texts where it is of several."""
    if not isinstance(field, ComputedField):
        return field.kind_of
    if isinstance(field, LookupField) and field.multiple:
        return filters.Kind.LIST if field.result_type == "text" else filters.Kind.JSON
    return COMPUTED_KINDS.get(field.result_type or "", filters.Kind.JSON)


def parsed(tree: object, known: Schema, pointer: str) -> tuple[Node | None, list[Fault]]:
    """A filter tree, or what is wrong with it."""
    try:
        return filters.parse_tree(tree, known, pointer), []
    except Invalid as error:
        return None, list(error.errors)
