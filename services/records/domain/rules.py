"""Conditional rules of a pipeline, ready to judge data: which fields are hidden now, and which are required."""

from collections.abc import Callable, Iterable, Mapping

from libs.common import filters
from libs.common.errors import Invalid
from libs.common.filters import Context, Schema
from services.records.domain.definitions import Rule
from services.records.domain.pipelines import Pipeline, without_target

Holds = Callable[[Mapping[str, object]], bool]


class Rules:
    """The rules of a pipeline at one moment, for one user."""

    def __init__(self, rules: Iterable[tuple[Rule, Holds]] = ()) -> None:
        self._rules = tuple(rules)

    def hidden(self, data: Mapping[str, object]) -> frozenset[str]:
        """The fields that cannot be given values: hidden by a rule that holds, or shown by none that does."""
        if not self._rules:
            return frozenset()
        hidden = self._named("hide", data)
        shown = self._named("show", data)
        shy = {name for rule, _ in self._rules if rule.effect == "show" for name in rule.fields}
        return frozenset(hidden | (shy - shown))

    def required(self, data: Mapping[str, object]) -> frozenset[str]:
        """The fields that rules require, as far as they are not hidden."""
        return frozenset(self._named("require", data) - self.hidden(data)) if self._rules else frozenset()

    def _named(self, effect: str, data: Mapping[str, object]) -> set[str]:
        return {name for rule, holds in self._rules if rule.effect == effect and holds(data) for name in rule.fields}


NONE = Rules()


def compile_rules(pipeline: Pipeline, context: Context) -> Rules:
    """The rules of a pipeline; one that speaks of a field that is gone holds never."""
    if not pipeline.definition.rules:
        return NONE
    schema = Schema(without_target(pipeline))
    return Rules((rule, holds) for rule in pipeline.definition.rules if (holds := _compiled(rule, schema, context)))


def _compiled(rule: Rule, schema: Schema, context: Context) -> Holds | None:
    try:
        predicate = filters.compile(filters.parse_tree(rule.when, schema), schema, context)
    except Invalid:
        return None
    return lambda data: predicate({"data": data}, lambda _: None)
