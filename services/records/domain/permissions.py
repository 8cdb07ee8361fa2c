"""What one principal may do with the records of one pipeline: rows by rule, fields by name.

Several grants may allow an action, each with its own rule and fields. A row may be seen if any rule holds, and of it
the fields of those grants whose rules hold. A list that filters or sorts by a field shows only rows in which a grant
lets that field be seen, so that a hidden value cannot be guessed by asking. A field that is never visible does not
exist.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from libs.common import filters
from libs.common.errors import Fault, Forbidden, Invalid
from libs.common.filters import COLUMNS, Context, Node, Schema, parse_tree
from libs.common.permissions import Grant
from services.records.domain.pipelines import Pipeline

Fields = frozenset[str] | None
Passes = Sequence[bool] | None
"""Per grant whether its rule holds on a row; None where no grant has a rule."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """One grant, with its rule parsed. No rule: every row; no fields: all of them."""

    rule: Node | None
    readable: Fields
    writable: Fields
    presets: Mapping[str, object]


class Access:
    """One action on one pipeline's records, as one principal is allowed to do it."""

    def __init__(self, pipeline: Pipeline, rules: Schema, alternatives: Iterable[Alternative]) -> None:
        self.pipeline = pipeline
        self.rules = rules
        self.alternatives = tuple(alternatives)
        self.every_row = any(a.rule is None for a in self.alternatives)
        self.ruled = any(a.rule is not None for a in self.alternatives)
        self.readable = _union(a.readable for a in self.alternatives)
        self.every_field = any(a.rule is None and a.readable is None for a in self.alternatives)
        self._writes_all = any(a.writable is None for a in self.alternatives)
        self._presetting = [a for a in self.alternatives if a.presets]

    def names(self, name: str) -> bool:
        """Whether a field exists for this principal."""
        return name in self.pipeline.fields and (self.readable is None or name in self.readable)

    def always(self, name: str) -> bool:
        """Whether a field may be read in every record."""
        return any(a.rule is None and (a.readable is None or name in a.readable) for a in self.alternatives)

    def condition(
        self, params: list[object], context: Context, alias: str = "r", using: frozenset[str] = frozenset()
    ) -> str:
        """SQL for the rows that may be seen through grants that show the fields in use."""
        return self._any(params, context, alias, lambda a: a.readable is None or using <= a.readable)

    def condition_to_write(self, params: list[object], context: Context, names: frozenset[str]) -> str:
        """SQL for the rows in which these fields may be written."""
        return self._any(params, context, "r", lambda a: a.writable is None or names <= a.writable)

    def passes(self, params: list[object], context: Context, alias: str = "r") -> str:
        """SQL for a row's `Passes`."""
        if not self.ruled:
            return "null::boolean[]"
        rules = [self._rule(a, params, context, alias) for a in self.alternatives]
        return f"array[{', '.join(f'coalesce({rule}, false)' for rule in rules)}]::boolean[]"

    def data(self, params: list[object], context: Context, alias: str = "r", only: Fields = None) -> str:
        """SQL for what may be seen of a row's data."""
        if self.every_field and only is None:
            return self.pipeline.data(alias)
        conditions = [self._seen(a, params, context, alias) for a in self.alternatives]
        shown = "true" if self.every_field else f"({' or '.join(conditions) or 'false'})"
        if only is not None:
            params.append(sorted(only))
            shown += f" and field.key = any(${len(params)}::text[])"
        each = f"jsonb_each({self.pipeline.data(alias)}) as field(key, value)"
        return f"(select coalesce(jsonb_object_agg(field.key, field.value), '{{}}') from {each} where {shown})"  # noqa: S608

    def title(self, params: list[object], context: Context, alias: str = "r") -> str:
        """SQL for a row's title, empty where a field it is made of may not be seen."""
        made_of = self.pipeline.title_fields
        shown = self.condition(params, context, alias, using=made_of)
        return f"{alias}.title" if shown == "true" else f"case when {shown} then {alias}.title else '' end"

    def holds(self, passes: Passes) -> bool:
        """Whether a row may be acted on."""
        return self.every_row if passes is None else any(passes)

    def readable_of(self, passes: Passes) -> Fields:
        """The fields that may be seen of a row."""
        return _union(a.readable for a, holds in zip(self.alternatives, self._flags(passes), strict=True) if holds)

    def shows(self, names: frozenset[str], passes: Passes) -> bool:
        """Whether one grant whose rule holds on a row shows all these fields."""
        holding = zip(self.alternatives, self._flags(passes), strict=True)
        return any(holds and (a.readable is None or names <= a.readable) for a, holds in holding)

    def hidden(self, names: Iterable[str], writing: "Access") -> list[Fault]:
        """The faults of naming fields that may be neither seen nor written: to this principal they do not exist."""
        if self.readable is None:
            return []
        writable = _union(a.writable for a in writing.alternatives)
        known = (name for name in names if name in self.pipeline.fields and not self.names(name))
        return [unknown_field("/data", name) for name in known if writable is not None and name not in writable]

    def check_writing(self, names: frozenset[str], passes: Passes) -> None:
        """Raises `Forbidden` unless one grant whose rule holds on the row lets all these fields be written."""
        if passes is None and self._writes_all:
            return
        flags = self._flags(passes)
        holding = [a for a, holds in zip(self.alternatives, flags, strict=True) if holds]
        if not holding:
            raise Forbidden("No grant allows this on this record")
        if not any(a.writable is None or names <= a.writable for a in holding):
            beyond = names - (_union(a.writable for a in holding) or frozenset())
            raise not_writable(sorted(beyond or names))

    def presets(self, names: frozenset[str]) -> Mapping[str, object]:
        """Values set at creation where they were not given, from the grants that let these fields be written."""
        found: dict[str, object] = {}
        for a in self._presetting:
            if a.writable is None or names <= a.writable:
                found = {**a.presets, **found}
        return found

    def _flags(self, passes: Passes) -> Sequence[bool]:
        return [True] * len(self.alternatives) if passes is None else passes

    def _any(self, params: list[object], context: Context, alias: str, wanted: Callable[[Alternative], bool]) -> str:
        chosen = [a for a in self.alternatives if wanted(a)]
        if any(a.rule is None for a in chosen):
            return "true"
        return f"({' or '.join(self._rule(a, params, context, alias) for a in chosen)})" if chosen else "false"

    def _rule(self, alternative: Alternative, params: list[object], context: Context, alias: str) -> str:
        if alternative.rule is None:
            return "true"
        return f"({filters.to_sql(alternative.rule, self.rules, params, context, alias)})"

    def _seen(self, alternative: Alternative, params: list[object], context: Context, alias: str) -> str:
        rule = self._rule(alternative, params, context, alias)
        if alternative.readable is None:
            return rule
        params.append(sorted(alternative.readable))
        return f"({rule} and field.key = any(${len(params)}::text[]))"


def compile_access(pipeline: Pipeline, grants: Iterable[Grant], rules: Schema) -> Access:
    """The access that grants give. One whose rule does not fit the pipeline (any more) gives nothing."""
    return Access(pipeline, rules, [a for grant in grants if (a := _alternative(grant, rules)) is not None])


def both(one: Access, other: Access) -> Access:
    """What two actions allow together: rows that pass a rule of each, and of them the fields that both show."""
    pairs = [(a, b) for a in one.alternatives for b in other.alternatives]
    return Access(
        one.pipeline, one.rules, [Alternative(_and(a, b), common((a.readable, b.readable)), None, {}) for a, b in pairs]
    )


def readable_schema(access: Access, full: Schema) -> Mapping[str, filters.Field]:
    """The fields of a schema that may be seen, the title only where all it is made of may be."""
    hidden_title = access.readable is not None and not access.pipeline.title_fields <= access.readable
    return {
        name: field
        for name, field in full.fields.items()
        if (name in COLUMNS and not (name == "title" and hidden_title)) or access.names(name.partition(".")[0])
    }


def certain_fields(access: Access) -> Fields:
    """The fields that may be seen of every row that may be."""
    return common(a.readable for a in access.alternatives)


def common(masks: Iterable[Fields]) -> Fields:
    """The fields that all of these show; None is every field."""
    found = [mask for mask in masks if mask is not None]
    return frozenset.intersection(*found) if found else None


def guard(access: Access) -> Node | None:
    """What may be seen of a pipeline as one filter; None is all of it."""
    rules = [a.rule for a in access.alternatives if a.rule is not None]
    return None if access.every_row else filters.Or(tuple(rules))


def unknown_field(pointer: str, name: str) -> Fault:
    """The fault of naming a field that does not exist."""
    return Fault(f"{pointer}/{escape(name)}", "unknown_field", f"There is no field '{name}'")


def escape(step: str) -> str:
    """A step of a JSON pointer (RFC 6901)."""
    return step.replace("~", "~0").replace("/", "~1")


def _and(one: Alternative, other: Alternative) -> Node | None:
    rules = [a.rule for a in (one, other) if a.rule is not None]
    if len(rules) == 2 and rules[0] != rules[1]:
        return filters.And(tuple(rules))
    return rules[0] if rules else None


def _alternative(grant: Grant, rules: Schema) -> Alternative | None:
    try:
        rule = None if grant.row_rule is None else parse_tree(grant.row_rule, rules)
    except Invalid:
        return None
    return Alternative(rule, grant.readable_fields, grant.writable_fields, grant.presets or {})


def not_writable(names: Iterable[str]) -> Forbidden:
    """Why fields stay as they are."""
    faults = [Fault(f"/data/{escape(n)}", "not_writable", f"'{n}' may not be written") for n in names]
    return Forbidden("These fields may not be written", code="field-not-writable", errors=faults)


def _union(masks: Iterable[Fields]) -> Fields:
    found: frozenset[str] = frozenset()
    for mask in masks:
        if mask is None:
            return None
        found |= mask
    return found
