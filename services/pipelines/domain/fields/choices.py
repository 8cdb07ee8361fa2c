"""The types whose values are chosen: from options, from stages in their order, or tags that anybody may add."""

from collections.abc import Iterable, Iterator
from typing import Annotated, TypeAlias

import msgspec

from libs.common.errors import Fault
from libs.common.filters import Kind
from services.pipelines.domain.fields.base import Case, Field, Label
from services.pipelines.domain.names import color_faults

MAX_OPTIONS = 500

Value: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Color: TypeAlias = Annotated[str, msgspec.Meta(max_length=32)]


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


def _option_faults(options: Iterable[Option], pointer: str) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, option in enumerate(options):
        if option.value in seen:
            yield Fault(f"{pointer}/{index}/value", "duplicate", f"'{option.value}' occurs twice")
        seen.add(option.value)
        yield from color_faults(option.color, f"{pointer}/{index}/color")


def _step(text: str) -> str:
    return text.replace("~", "~0").replace("/", "~1")
