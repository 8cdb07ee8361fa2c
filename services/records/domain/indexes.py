"""Indexes on the values of fields: one for each field that is marked so, on the records of its pipeline alone."""

from hashlib import sha256
from uuid import UUID

import msgspec

from libs.common import filters
from libs.common.filters import Kind
from services.records.domain.definitions import Definition
from services.records.domain.pipelines import filter_field, kind_of

MAX_INDEXED = 16


class FieldIndex(msgspec.Struct, frozen=True):
    """An index by its name, which follows from what it is on."""

    name: str
    expression: str


def wanted(definition: Definition) -> list[FieldIndex]:
    """The indexes of a pipeline; none where it is deleted."""
    if definition.deleted:
        return []
    marked = [field for field in definition.fields if field.indexed and kind_of(field) is not Kind.JSON]
    known = [filter_field(field, None) for field in marked]
    plain = [field for field in known if field.stored_kind not in (Kind.LIST, Kind.JSON)]
    return [_index(definition.id, field) for field in plain[:MAX_INDEXED]]


def statistics_name(expression: str) -> str:
    """The name of the statistics on an expression, which all pipelines with such a field share."""
    return f"values_{sha256(expression.encode()).hexdigest()[:32]}"


def _index(pipeline_id: UUID, field: filters.Field) -> FieldIndex:
    expression = filters.expression(field, "records")
    digest = sha256(f"{pipeline_id} {expression}".encode()).hexdigest()
    return FieldIndex(f"field_{digest[:32]}", expression)
