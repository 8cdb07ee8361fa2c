"""The field types: a Struct each, flat as in the API, and what must hold within one field."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias
from uuid import UUID

import msgspec

from libs.common.errors import Fault
from libs.common.filters import Kind
from libs.common.formulas import MAX_EXPRESSION, FormulaError
from libs.common.formulas.syntax import parse
from services.pipelines.domain.codes import CURRENCIES, REGIONS, decimals_of
from services.pipelines.domain.names import color_faults, field_name_faults, type_name_faults
from services.pipelines.domain.patterns import MAX_PATTERN, compile_pattern

MAX_OPTIONS = 500
MAX_TEXT = 100_000
MAX_NUMBER = 10**300
MAX_AMOUNT_DIGITS = 15
MAX_FILE = 256 * 1024 * 1024
ADDRESS = ("line1", "line2", "city", "region", "postal_code", "country")

Label: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Value: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Color: TypeAlias = Annotated[str, msgspec.Meta(max_length=32)]
Length: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=MAX_TEXT)]
MediaType: TypeAlias = Annotated[str, msgspec.Meta(max_length=127, pattern=r"^[a-z0-9.+-]+/([a-z0-9.+-]+|\*)$")]
Number: TypeAlias = int | float
Case: TypeAlias = Literal["keep", "lower", "upper"]
Cardinality: TypeAlias = Literal["many_to_one", "one_to_one", "one_to_many", "many_to_many"]


class Field(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """What fields of every type have. `label` and `searchable` are given by the type where they are left out."""

    may_be_unique: ClassVar[bool] = False
    may_be_indexed: ClassVar[bool] = True
    may_be_searched: ClassVar[bool] = False
    may_have_default: ClassVar[bool] = True
    kind_of: ClassVar[Kind] = Kind.JSON
    parts: ClassVar[Mapping[str, Kind]] = {}
    fixed: ClassVar[tuple[str, ...]] = ()

    name: Annotated[str, msgspec.Meta(max_length=63)]
    label: Label | None = None
    required: bool = False
    unique: bool = False
    indexed: bool = False
    searchable: bool | None = None
    default: Any = None
    help: Annotated[str, msgspec.Meta(max_length=1000)] | None = None

    @classmethod
    def type_name(cls) -> str:
        """The type's name in the API."""
        return str(cls.__struct_config__.tag)

    def faults(self) -> Iterator[Fault]:
        """What is wrong with the field by itself, with pointers below the field."""
        yield from field_name_faults(self.name, "/name")
        for flag, allowed in (
            ("unique", self.may_be_unique),
            ("indexed", self.may_be_indexed),
            ("searchable", self.may_be_searched),
        ):
            if getattr(self, flag) and not allowed:
                yield Fault(f"/{flag}", "not_applicable", f"A field of type {self.type_name()} cannot be {flag}")
        if self.default is not None and not self.may_have_default:
            yield Fault("/default", "not_applicable", f"A field of type {self.type_name()} has no default")


class TextField(Field, frozen=True, kw_only=True, tag="text"):
    """A line of text."""

    kind_of = Kind.TEXT
    may_be_unique = True
    may_be_searched = True

    min_length: Length | None = None
    max_length: Length | None = None
    pattern: Annotated[str, msgspec.Meta(max_length=MAX_PATTERN)] | None = None
    case: Case = "keep"

    def faults(self) -> Iterator[Fault]:
        """Lengths in order, and a pattern that compiles."""
        yield from super().faults()
        yield from _ordered(self.min_length, self.max_length, "/max_length", "min_length")
        if self.pattern is not None:
            yield from _pattern_faults(self.pattern)


class TextareaField(TextField, frozen=True, kw_only=True, tag="textarea"):
    """Text of several lines; `rich` where clients show it formatted, `collaborative` where it is a shared document."""

    may_be_unique = False
    may_be_indexed = False

    rich: bool = False
    collaborative: bool = False


class NumberField(Field, frozen=True, kw_only=True, tag="number"):
    """A number; `step` counts from `min`, or from 0."""

    kind_of = Kind.NUMBER
    may_be_unique = True
    fixed = ("kind",)

    kind: Literal["integer", "decimal", "percentage"] = "decimal"
    min: Number | None = None
    max: Number | None = None
    step: Number | None = None

    def faults(self) -> Iterator[Fault]:
        """Bounds in order, and a step that leads somewhere."""
        yield from super().faults()
        yield from _ordered(self.min, self.max, "/max", "min")
        for name in ("min", "max", "step"):
            if abs(getattr(self, name) or 0) > MAX_NUMBER:
                yield Fault(f"/{name}", "out_of_range", f"'{name}' is too large")
        if self.step is not None and self.step <= 0:
            yield Fault("/step", "out_of_range", "'step' is greater than 0")
        elif self.step is not None and self.kind == "integer" and self.step != int(self.step):
            yield Fault("/step", "invalid_value", "The step of an integer is an integer")


class BooleanField(Field, frozen=True, kw_only=True, tag="boolean"):
    """True or false."""

    kind_of = Kind.BOOLEAN


class DateField(Field, frozen=True, kw_only=True, tag="date"):
    """A calendar date, `2026-01-31`."""

    kind_of = Kind.DATE
    may_be_unique = True


class DatetimeField(Field, frozen=True, kw_only=True, tag="datetime"):
    """A moment, RFC 3339."""

    kind_of = Kind.DATETIME
    may_be_unique = True


class EmailField(Field, frozen=True, kw_only=True, tag="email"):
    """An e-mail address."""

    kind_of = Kind.TEXT
    may_be_unique = True
    may_be_searched = True


class UrlField(Field, frozen=True, kw_only=True, tag="url"):
    """A web address, http or https."""

    kind_of = Kind.TEXT
    may_be_unique = True
    may_be_searched = True


class Option(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One choice: what is stored, how it is called, and its colour (`#2f80ed`, or a name such as `blue`)."""

    value: Value
    label: Label | None = None
    color: Color | None = None


class SelectField(Field, frozen=True, kw_only=True, tag="select"):
    """One of several options."""

    kind_of = Kind.TEXT
    options: Annotated[tuple[Option, ...], msgspec.Meta(min_length=1, max_length=MAX_OPTIONS)]

    def faults(self) -> Iterator[Fault]:
        """Options that differ."""
        yield from super().faults()
        yield from _option_faults(self.options, "/options")


class MultiselectField(SelectField, frozen=True, kw_only=True, tag="multiselect"):
    """Any number of several options."""

    kind_of = Kind.LIST
    may_be_indexed = False


class TagsField(Field, frozen=True, kw_only=True, tag="tags"):
    """Any number of words that are not known beforehand, in the case that `case` gives them."""

    kind_of = Kind.LIST
    may_be_indexed = False
    may_be_searched = True

    case: Case = "keep"


class CurrencyField(Field, frozen=True, kw_only=True, tag="currency"):
    """An amount of money, `{"amount": 12.5, "currency": "EUR"}`, exact in up to 15 digits.

    With `currency` all amounts are in that one. `decimals` is that of the currency (ISO 4217) unless it is given.
    """

    parts = {"amount": Kind.NUMBER, "currency": Kind.TEXT}
    may_be_indexed = False

    currency: Annotated[str, msgspec.Meta(max_length=3)] | None = None
    decimals: Annotated[int, msgspec.Meta(ge=0, le=8)] | None = None

    def faults(self) -> Iterator[Fault]:
        """A currency that there is."""
        yield from super().faults()
        if self.currency is not None and self.currency not in CURRENCIES:
            yield Fault("/currency", "unknown_currency", f"'{self.currency}' is not a code of ISO 4217")

    def places(self, currency: str) -> int:
        """How many decimals an amount has at most."""
        return decimals_of(currency) if self.decimals is None else self.decimals


class AutoNumberField(Field, frozen=True, kw_only=True, tag="auto_number"):
    """A number that every new record gets, counted up: `INV-0042` with a prefix and a padding of 4."""

    kind_of = Kind.TEXT
    may_be_searched = True
    may_have_default = False

    prefix: Annotated[str, msgspec.Meta(max_length=20)] = ""
    padding: Annotated[int, msgspec.Meta(ge=0, le=18)] = 0

    def faults(self) -> Iterator[Fault]:
        """It is given to a record, so it cannot be asked for."""
        yield from super().faults()
        if self.required:
            yield Fault("/required", "not_applicable", "A field of type auto_number is always given")


class DurationField(Field, frozen=True, kw_only=True, tag="duration"):
    """A length of time, ISO 8601 without years and months: `P1DT2H`."""

    kind_of = Kind.DURATION
    may_be_indexed = False


class PhoneField(Field, frozen=True, kw_only=True, tag="phone"):
    """A telephone number, kept as E.164; `default_country` is that of numbers without a country code."""

    kind_of = Kind.TEXT
    may_be_unique = True
    may_be_searched = True
    may_have_default = False

    default_country: Annotated[str, msgspec.Meta(max_length=2)] | None = None

    def faults(self) -> Iterator[Fault]:
        """A country that there is."""
        yield from super().faults()
        if self.default_country is not None and self.default_country not in REGIONS:
            yield Fault("/default_country", "unknown_country", f"'{self.default_country}' is not a code of ISO 3166-1")


class AddressField(Field, frozen=True, kw_only=True, tag="address"):
    """A postal address in parts: line1, line2, city, region, postal_code, country (ISO 3166-1)."""

    parts = dict.fromkeys(ADDRESS, Kind.TEXT)
    may_be_indexed = False
    may_be_searched = True
    may_have_default = False


class RatingField(Field, frozen=True, kw_only=True, tag="rating"):
    """So many of `max` stars."""

    kind_of = Kind.NUMBER
    max: Annotated[int, msgspec.Meta(ge=1, le=100)] = 5


class UserField(Field, frozen=True, kw_only=True, tag="user"):
    """A user of the tenant by id, or with `multiple` a list of them."""

    kind_of = Kind.UUID
    may_have_default = False
    fixed = ("multiple",)

    multiple: bool = False


class FileField(Field, frozen=True, kw_only=True, tag="file"):
    """A file by id, or with `multiple` up to a hundred: bring it first, then name it.

    `types` are media types that are taken (`application/pdf`, `image/*`), without any all are; `max_size` is in bytes.
    """

    kind_of = Kind.UUID
    may_be_indexed = False
    may_have_default = False
    fixed = ("multiple",)

    multiple: bool = False
    types: Annotated[tuple[MediaType, ...], msgspec.Meta(max_length=50)] = ()
    max_size: Annotated[int, msgspec.Meta(ge=1, le=MAX_FILE)] | None = None


class JsonField(Field, frozen=True, kw_only=True, tag="json"):
    """Any JSON, at most 64 KiB of it, at most 32 levels deep."""

    may_be_indexed = False


class ButtonField(Field, frozen=True, kw_only=True, tag="button"):
    """An action that clients offer on a record; it has no value. `action` names it, `url` is where it leads."""

    may_be_indexed = False
    may_have_default = False

    action: Annotated[str, msgspec.Meta(max_length=63)] | None = None
    url: Annotated[str, msgspec.Meta(max_length=2048)] | None = None

    def faults(self) -> Iterator[Fault]:
        """Without a value it cannot be required, and a link is one of the web."""
        yield from super().faults()
        if self.required:
            yield Fault("/required", "not_applicable", "A field of type button has no value")
        if self.url is not None and not self.url.startswith(("https://", "http://")):
            yield Fault("/url", "invalid_url", "An http or https address is expected")


class Stage(Option, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stage; `required_fields` must have values in a record that enters it."""

    required_fields: Annotated[tuple[str, ...], msgspec.Meta(max_length=200)] = ()


class StageField(Field, frozen=True, kw_only=True, tag="stage"):
    """A select with an order. `transitions` says which stages may follow which; absent means any."""

    kind_of = Kind.TEXT
    stages: Annotated[tuple[Stage, ...], msgspec.Meta(min_length=1, max_length=MAX_OPTIONS)]
    transitions: dict[str, tuple[str, ...]] | None = None

    def faults(self) -> Iterator[Fault]:
        """Stages that differ, and transitions between stages that exist."""
        yield from super().faults()
        yield from _option_faults(self.stages, "/stages")
        known = {stage.value for stage in self.stages}
        for source, targets in (self.transitions or {}).items():
            pointer = f"/transitions/{_step(source)}"
            if source not in known:
                yield Fault(pointer, "unknown_stage", f"'{source}' is not one of the stages")
            for index, target in enumerate(targets):
                if target not in known:
                    yield Fault(f"{pointer}/{index}", "unknown_stage", f"'{target}' is not one of the stages")


class RelationField(Field, frozen=True, kw_only=True, tag="relation"):
    """One or many records of another pipeline, or of the same one, through a type of relationship."""

    kind_of = Kind.RELATION
    may_have_default = False
    fixed = ("target_pipeline", "relationship_type", "cardinality")

    target_pipeline: UUID
    relationship_type: Annotated[str, msgspec.Meta(max_length=63)]
    cardinality: Cardinality = "many_to_one"
    display_field: str | None = None

    def faults(self) -> Iterator[Fault]:
        """A name that a type of relationship may have."""
        yield from super().faults()
        yield from type_name_faults(self.relationship_type, "/relationship_type")


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


def _ordered(low: Number | None, high: Number | None, pointer: str, name: str) -> Iterator[Fault]:
    if low is not None and high is not None and low > high:
        yield Fault(pointer, "out_of_range", f"{high} is less than '{name}', which is {low}")


def _pattern_faults(pattern: str) -> Iterator[Fault]:
    try:
        compile_pattern(pattern)
    except ValueError as error:
        yield Fault("/pattern", "invalid_pattern", f"Not a regular expression in RE2 syntax: {error}")


def _option_faults(options: Iterable[Option], pointer: str) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, option in enumerate(options):
        if option.value in seen:
            yield Fault(f"{pointer}/{index}/value", "duplicate", f"'{option.value}' occurs twice")
        seen.add(option.value)
        yield from color_faults(option.color, f"{pointer}/{index}/color")


def _step(text: str) -> str:
    return text.replace("~", "~0").replace("/", "~1")
