"""What may change in a field that records may have values for already, without a plan."""

from collections.abc import Iterable, Iterator, Mapping

from libs.common.errors import Conflict, Fault
from services.pipelines.domain.definitions import Fields, Placed
from services.pipelines.domain.fields import TYPES, AnyField

REFUSED = "Records may have values for these fields, so such a change is planned first: POST …/schema/plan"


def check_changes(old: Fields, new: Iterable[Placed]) -> None:
    """`Conflict` names every change that would not fit the records that are there."""
    before = {field.name: field for field in old}
    faults = [
        fault
        for pointer, field in new
        if field.name in before
        for fault in _refused(before[field.name], field, pointer)
    ]
    if faults:
        raise Conflict(REFUSED, errors=faults)


def _refused(old: AnyField, new: AnyField, pointer: str) -> Iterator[Fault]:
    if type(old) is not type(new):
        detail = f"'{old.name}' is of type {old.type_name()} and stays so"
        yield Fault(f"{pointer}/type", "type_change", detail)
        return
    for name in new.fixed:
        if getattr(old, name) != getattr(new, name):
            yield Fault(f"{pointer}/{name}", "fixed", f"'{name}' of a field stays as it was made")
    if new.unique and not old.unique:
        yield Fault(f"{pointer}/unique", "fixed", "A field cannot become unique once it may have values")


def check_identity(old: AnyField, patch: Mapping[str, object]) -> None:
    """`Conflict` where a patch would make another field of it."""
    now = {"name": old.name, "type": old.type_name()}
    faults = [
        Fault(f"/{key}", f"{key}_change", f"The {key} of a field stays as it was made")
        for key, value in now.items()
        if isinstance(patch.get(key), str) and patch[key] != value and (key == "name" or patch[key] in TYPES)
    ]
    if faults:
        raise Conflict(REFUSED, errors=faults)


def merge(target: object, patch: object) -> object:
    """RFC 7396: objects merge, null takes away, all else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged
