"""What a definition shall become, and what is wrong with that."""

from typing import Any

import msgspec
from msgspec.structs import replace

from libs.common.errors import Conflict, Fault, Invalid
from libs.common.filters.renaming import renamed_condition
from services.pipelines.domain.computed import renamed_field
from services.pipelines.domain.definitions import (
    MAX_FAULTS,
    Placed,
    attribute_faults,
    read_field,
    reference_faults,
    size_faults,
)
from services.pipelines.domain.evolution import Step, convertible, pairs, renamed_display, renamed_fields
from services.pipelines.domain.names import field_name_faults
from services.pipelines.domain.pipelines import Pipeline
from services.pipelines.domain.rules import rules_faults
from services.pipelines.domain.titles import renamed_template


class Wanted(msgspec.Struct, frozen=True):
    """What shall change: fields that are new or replace those of their name, names that go, names that change."""

    fields: list[Any] = []
    remove: list[str] = []
    rename: dict[str, str] = {}


def read(pipeline: Pipeline, wanted: Wanted) -> tuple[Step, list[Fault]]:
    """The way to what is wanted, and all that is wrong with it."""
    faults = _names_faults(pipeline, wanted)
    given: dict[str, Placed] = {}
    for index, value in enumerate(wanted.fields):
        field, found = read_field(value, f"/fields/{index}")
        faults += found
        if field is not None:
            if field.name in given:
                faults.append(Fault(f"/fields/{index}/name", "duplicate", f"'{field.name}' is given twice"))
            given.setdefault(field.name, (f"/fields/{index}", field))
    left = tuple(field for field in pipeline.fields if field.name not in wanted.remove)
    called = (renamed_display(it, wanted.rename, pipeline.id) for it in renamed_fields(left, wanted.rename))
    kept = tuple(renamed_field(it, wanted.rename, pipeline.id) for it in called)
    known = {field.name for field in kept}
    merged = tuple(given[field.name][1] if field.name in given else field for field in kept)
    fields = (*merged, *(field for _, field in given.values() if field.name not in known))
    freed = {*wanted.remove, *wanted.rename}
    reused = [pointer for pointer, field in given.values() if field.name in freed]
    faults += [Fault(f"{at}/name", "in_use", "A name that becomes free is free when the job is done") for at in reused]
    step = Step(fields=fields, renames=wanted.rename)
    for was, now in pairs(pipeline.fields, step):
        if was is not None and now.name in given and not convertible(was, now):
            detail = f"Values of '{was.name}' cannot become those of such a field"
            faults.append(Fault(f"{given[now.name][0]}/type", "type_change", detail))
    return step, faults


def _names_faults(pipeline: Pipeline, wanted: Wanted) -> list[Fault]:
    known = {field.name for field in pipeline.fields}
    faults = [
        Fault(f"/remove/{index}", "unknown_name", f"There is no field '{name}'")
        for index, name in enumerate(wanted.remove)
        if name not in known
    ]
    for old, new in wanted.rename.items():
        if old not in known or old in wanted.remove:
            faults.append(Fault(f"/rename/{old}", "unknown_name", f"There is no field '{old}'"))
        if new in known or list(wanted.rename.values()).count(new) > 1:
            faults.append(Fault(f"/rename/{old}", "duplicate", f"There is another field '{new}'"))
        faults += field_name_faults(new, f"/rename/{old}")
    return faults


def renamed(pipeline: Pipeline, step: Step) -> Pipeline:
    """The pipeline with the fields of a step, and with its rules and title in their names."""
    rules = tuple(
        replace(
            rule,
            when=renamed_condition(rule.when, step.renames),
            fields=tuple(step.renames.get(name, name) for name in rule.fields),
        )
        for rule in pipeline.rules
    )
    title = pipeline.title_template
    title = None if title is None else renamed_template(title, step.renames)
    return replace(pipeline, fields=step.fields, rules=rules, title_template=title)


def check(pipeline: Pipeline, step: Step, faults: list[Fault]) -> None:
    """`Invalid` with all that is wrong with a definition, `Conflict` where a job is still busy with an earlier one."""
    new = renamed(pipeline, step)
    names = [field.name for field in step.fields]
    placed: list[Placed] = [(f"/fields/{index}", field) for index, field in enumerate(step.fields)]
    faults += attribute_faults(msgspec.structs.asdict(new), names)
    faults += [*reference_faults(placed, names), *size_faults(step.fields, "/fields")]
    faults += rules_faults(new.rules, step.fields)
    if faults:
        raise Invalid("The definition would not be valid", errors=faults[:MAX_FAULTS])


def check_way(pipeline: Pipeline, step: Step) -> None:
    """`Conflict` where what a field holds cannot become what it held."""
    faults = [
        Fault(f"/fields/{now.name}/type", "type_change", f"Values of '{was.name}' cannot become those of such a field")
        for was, now in pairs(pipeline.fields, step)
        if was is not None and not convertible(was, now)
    ]
    if faults:
        raise Conflict("There is no way back to that definition", code="no-way-back", errors=faults)
