"""Whether data fits a pipeline: every fault at once, each with its pointer and code."""

from collections.abc import Container, Iterable, Mapping
from types import MappingProxyType

import msgspec

from libs.common.errors import Fault
from services.records.domain.permissions import escape, unknown_field
from services.records.domain.pipelines import Pipeline
from services.records.domain.rules import NONE, Rules
from services.records.domain.values import Wrong

MAX_DATA_BYTES = 256 * 1024

Data = dict[str, object]

_encoder = msgspec.json.Encoder()


def created(
    pipeline: Pipeline,
    given: Mapping[str, object],
    presets: Mapping[str, object],
    numbers: Mapping[str, str] = MappingProxyType({}),
    rules: Rules | None = NONE,
) -> tuple[Data, list[Fault]]:
    """The data of a new record, with presets and defaults where nothing was given, and its faults.

    `numbers` are what its automatic numbers shall be. Without rules the data is still to be judged, by `judged_new`.
    """
    values = {**pipeline.defaults, **presets, **given}
    data, faults = checked(pipeline, values)
    data |= numbers
    fill(pipeline, data)
    if rules is not None:
        faulty = {fault.pointer for fault in faults}
        wrong = judged_new(pipeline, data, given, rules, staged=not faults)
        faults += [fault for fault in wrong if fault.code != "required" or fault.pointer not in faulty]
    return _present(data), faults or _size(data)


def judged_new(
    pipeline: Pipeline, data: Data, given: Container[str], rules: Rules, *, staged: bool = True
) -> list[Fault]:
    """The faults of the values of a new record taken together; defaults of fields that are hidden are taken out.

    Where anything is wrong, or if not `staged`, stages are not looked at.
    """
    hidden = rules.hidden(data)
    for name in sorted(hidden & pipeline.defaults.keys()):
        if name not in given:
            data.pop(name, None)
            fill(pipeline, data)
    missing = (name for name in pipeline.required if name not in hidden and _blank(data.get(name)))
    faults = [*(_required(name) for name in missing), *ruled(rules, {}, data)]
    return faults or (entering(pipeline, {}, data) if staged else [])


def changed(
    pipeline: Pipeline,
    current: Mapping[str, object],
    patch: Mapping[str, object],
    rules: Rules | None = NONE,
    *,
    whole: bool = False,
) -> tuple[Data, list[Fault]]:
    """The data after a merge patch (RFC 7396), or one of `whole` values, and the faults of what it changes.

    Without rules the data is still to be judged, by `judged_changed`.
    """
    patch, faults = _kept(pipeline, current, patch)
    values, wrong = checked(pipeline, patch if whole else _merged(current, patch))
    faults += wrong
    data = _present({**current, **values})
    fill(pipeline, data)
    if rules is not None:
        faults += judged_changed(pipeline, current, data, values, rules, staged=not faults)
    return data, faults or _size(data)


def judged_changed(
    pipeline: Pipeline,
    current: Mapping[str, object],
    data: Mapping[str, object],
    named: Container[str],
    rules: Rules,
    *,
    staged: bool = True,
) -> list[Fault]:
    """The faults of changed values taken together; of those `named` required ones must not be empty by now.

    Where anything is wrong, or if not `staged`, stages are not looked at.
    """
    hidden = rules.hidden(data)
    cleared = (n for n in pipeline.required if n in named and n not in hidden and _blank(data.get(n)))
    faults = [*(_required(name) for name in cleared), *ruled(rules, current, data)]
    return faults or (entering(pipeline, current, data) if staged else [])


def _kept(
    pipeline: Pipeline, current: Mapping[str, object], patch: Mapping[str, object]
) -> tuple[Mapping[str, object], list[Fault]]:
    """The patch without what the platform gives sent back as it is, and the faults of changing any."""
    numbers = pipeline.given & patch.keys()
    changed = [name for name in sorted(numbers) if not same(patch[name], current.get(name))]
    rest = {name: value for name, value in patch.items() if name not in numbers} if numbers else patch
    return rest, [given(name) for name in changed]


def given(name: str) -> Fault:
    """The fault of giving what the platform gives."""
    return Fault(f"/data/{name}", "read_only", f"'{name}' is given by the platform")


def checked(pipeline: Pipeline, values: Mapping[str, object]) -> tuple[Data, list[Fault]]:
    """The values as they are stored, null where they are cleared, and their faults."""
    data: Data = {}
    faults: list[Fault] = []
    for name, value in values.items():
        check = pipeline.checks.get(name)
        if check is None:
            faults.append(unknown_field("/data", name))
        elif value is None:
            data[name] = None
        else:
            try:
                data[name] = check(value)
            except Wrong as wrong:
                faults += wrong.faults(f"/data/{escape(name)}")
    return data, faults


def entering(pipeline: Pipeline, before: Mapping[str, object], after: Mapping[str, object]) -> list[Fault]:
    """The faults of the stages that a record enters: no way leads there, or a field is missing."""
    faults: list[Fault] = []
    for field in pipeline.stages:
        old, new = before.get(field.name), after.get(field.name)
        if new is None or new == old:
            continue
        if old is not None and field.transitions is not None and new not in field.transitions.get(str(old), ()):
            detail = f"No transition leads from '{old}' to '{new}'"
            faults.append(Fault(f"/data/{field.name}", "invalid_transition", detail))
        needed = next((stage.required_fields for stage in field.stages if stage.value == new), ())
        faults += [_for_stage(name, str(new)) for name in needed if _blank(after.get(name))]
    return faults


def told_to(readable: Container[str] | None, faults: Iterable[Fault]) -> list[Fault]:
    """The faults in words that repeat nothing of what may not be seen: the stage that a record comes from."""
    return [
        Fault(it.pointer, it.code, "No transition leads there from the present stage")
        if it.code == "invalid_transition" and readable is not None and it.pointer.rpartition("/")[2] not in readable
        else it
        for it in faults
    ]


def ruled(rules: Rules, before: Mapping[str, object], after: Mapping[str, object]) -> list[Fault]:
    """The faults of breaking a rule anew: a value given to a hidden field, or none to a required one."""
    if rules is NONE:
        return []
    given = (n for n in sorted(rules.hidden(after)) if not _blank(after.get(n)) and not same(before.get(n), after[n]))
    faults = [Fault(f"/data/{name}", "hidden_by_rule", f"'{name}' takes no value here") for name in given]
    open_before = {name for name in rules.required(before) if _blank(before.get(name))} if before else set()
    lacking = (n for n in sorted(rules.required(after)) if _blank(after.get(n)) and n not in open_before)
    return faults + [Fault(f"/data/{n}", "required_by_rule", f"'{n}' is required here") for n in lacking]


def fill(pipeline: Pipeline, data: Data) -> None:
    """Computes what follows from the data of a record alone."""
    if pipeline.computing is not None:
        pipeline.computing.fill(data)


def differing(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """The names of the fields whose values differ, in order."""
    return sorted(name for name in before.keys() | after.keys() if not same(before.get(name), after.get(name)))


def same(one: object, other: object) -> bool:
    """Whether two JSON values are the same; true is not 1."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _merged(current: Mapping[str, object], patch: Mapping[str, object]) -> Data:
    return {name: merge(current.get(name), value) for name, value in patch.items()}


def merge(target: object, patch: object) -> object:
    """RFC 7396: objects are merged key by key, null takes away, anything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def _present(data: Mapping[str, object]) -> Data:
    return {name: value for name, value in data.items() if value is not None}


def _blank(value: object) -> bool:
    return value is None or value == "" or value == [] or value == {}


def _required(name: str) -> Fault:
    return Fault(f"/data/{name}", "required", f"'{name}' is required")


def _for_stage(name: str, stage: str) -> Fault:
    return Fault(f"/data/{name}", "required_for_stage", f"'{name}' is required to enter '{stage}'")


def _size(data: Mapping[str, object]) -> list[Fault]:
    if len(_encoder.encode(data)) <= MAX_DATA_BYTES:
        return []
    return [Fault("/data", "too_large", f"A record holds at most {MAX_DATA_BYTES} bytes")]


def below(faults: Iterable[Fault], pointer: str) -> list[Fault]:
    """Faults of a part, with pointers from the whole."""
    return [Fault(f"{pointer}{fault.pointer}", fault.code, fault.detail) for fault in faults]
