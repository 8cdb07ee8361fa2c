"""Conditional rules: while a filter holds on a record, fields are shown, hidden or required."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

import msgspec

from libs.common.errors import Fault
from services.pipelines.domain.definitions import Fields
from services.pipelines.domain.questions import parsed, schema

MAX_RULES = 100

Effect: TypeAlias = Literal["show", "hide", "require"]
Names: TypeAlias = Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=200)]
Title: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule. `when` is a filter tree over the record's own fields.

    `require`: while it holds the fields must have values. `hide`: while it holds they cannot be given any. `show`: they
    can be given values only while it, or another rule that shows them, holds. What is hidden is not required.
    """

    id: UUID
    name: Title | None = None
    effect: Effect
    when: dict[str, Any]
    fields: Names


def rules_faults(rules: tuple[Rule, ...], fields: Fields) -> Iterator[Fault]:
    """What is wrong with rules among the fields of their pipeline, with pointers below `/rules`."""
    for index, rule in enumerate(rules):
        yield from rule_faults(rule, fields, f"/rules/{index}")


def rule_faults(rule: Rule, fields: Fields, pointer: str) -> Iterator[Fault]:
    """What is wrong with one rule."""
    yield from parsed(rule.when, schema(fields, columns=False), f"{pointer}/when")[1]
    known = {field.name for field in fields}
    for index, name in enumerate(rule.fields):
        if name not in known:
            yield Fault(f"{pointer}/fields/{index}", "unknown_name", f"There is no field '{name}'")
