"""The types that the platform computes: of the record itself, or of records that are related to it."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

import msgspec

from libs.common.errors import Fault
from libs.common.filters import Kind
from libs.common.formulas import MAX_EXPRESSION, FormulaError
from libs.common.formulas.syntax import parse
from services.pipelines.domain.fields.base import Field

ResultType: TypeAlias = Literal["number", "text", "boolean", "date", "datetime"]
Aggregate: TypeAlias = Literal["count", "count_distinct", "sum", "avg", "min", "max", "any", "all", "concat"]
COMPUTED_KINDS: Mapping[str, Kind] = {it: Kind(it) for it in ("number", "text", "boolean", "date", "datetime")}


class ComputedField(Field, frozen=True, kw_only=True):
    """What the platform computes whenever something changes that it follows from: stored, and never given.

    `result_type` follows from the definition; given, it must be that.
    """

    may_be_searched = True
    may_have_default = False

    result_type: ResultType | None = None

    def faults(self) -> Iterator[Fault]:
        """It is not given, so it cannot be asked for."""
        yield from super().faults()
        if self.required:
            yield Fault("/required", "not_applicable", f"A field of type {self.type_name()} is always given")


class FormulaField(ComputedField, frozen=True, kw_only=True, tag="formula"):
    """What an expression makes of the record's other fields: `round(price.amount * (1 - coalesce(discount, 0)), 2)`.

    Operators, lowest first: `or`, `and`, `not`, `= != < <= > >=`, `&` (joins texts), `+ -`, `* / %`, `^`. Dates move by
    days. What cannot be computed is null.
    """

    expression: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_EXPRESSION)]

    def faults(self) -> Iterator[Fault]:
        """An expression that can be read."""
        yield from super().faults()
        try:
            parse(self.expression)
        except FormulaError as error:
            yield Fault("/expression", error.code, error.detail)


class AcrossField(ComputedField, frozen=True, kw_only=True):
    """What is computed of related records. `relation` is a relation field, or a relationship type by its name or its
    inverse's. `relationship_type`, `inverse` and `target_pipeline` are what it stands for, told by the platform.
    """

    relation: Annotated[str, msgspec.Meta(max_length=63)]
    relationship_type: str | None = None
    inverse: bool = False
    target_pipeline: UUID | None = None


class LookupField(AcrossField, frozen=True, kw_only=True, tag="lookup"):
    """A field of the related record; of several records a list, at most 1,000 values long, which `multiple` tells."""

    field: Annotated[str, msgspec.Meta(max_length=63)]
    multiple: bool = False

    def faults(self) -> Iterator[Fault]:
        """Lists have no index."""
        yield from super().faults()
        if self.indexed and self.multiple:
            yield Fault("/indexed", "not_applicable", "A lookup of several records cannot be indexed")


class RollupField(AcrossField, frozen=True, kw_only=True, tag="rollup"):
    """Related records in one value. `filter` is a filter tree of their own fields that does not follow the time.

    Of no records `count` and `sum` are 0, `any` is false, `all` true, the others null. Nulls do not count. `avg` and
    `concat` keep the first 15 digits and 10,000 characters; amounts are added whatever their currency.
    """

    function: Aggregate
    field: Annotated[str, msgspec.Meta(max_length=63)] | None = None
    filter: dict[str, Any] | None = None

    def faults(self) -> Iterator[Fault]:
        """A field for each function but `count`."""
        yield from super().faults()
        if self.field is None and self.function != "count":
            yield Fault("/field", "required", f"'{self.function}' needs a field")
