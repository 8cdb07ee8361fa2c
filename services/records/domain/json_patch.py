"""JSON Patch (RFC 6902) on the data of a record, as the merge patch that it comes to."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from libs.common.errors import Fault, Invalid
from services.records.domain.fields import differing, same

MAX_STEPS = 100


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One operation of a patch; paths begin at the record: `/data/email`."""

    op: Literal["add", "remove", "replace", "move", "copy", "test"]
    path: str
    value: Any = None
    from_: str | None = msgspec.field(name="from", default=None)


class _Refused(Exception):
    pass


def merge_patch(steps: Sequence[Step], data: Mapping[str, object]) -> dict[str, object]:
    """The fields that the steps change, null where they take them away; raises Invalid, naming the step."""
    document: dict[str, Any] = {"data": copy.deepcopy(dict(data))}
    for index, step in enumerate(steps):
        try:
            _apply(document, step)
        except _Refused as refused:
            code, detail = refused.args
            raise Invalid(errors=[Fault(f"/{index}/path", code, detail)]) from None
    after = document["data"]
    return {name: after.get(name) for name in differing(data, after)}


def _apply(document: dict[str, Any], step: Step) -> None:
    if step.op == "test":
        if not same(_get(document, step.path), step.value):
            raise _Refused("test_failed", "The value is another one")
    elif step.op in ("move", "copy"):
        value = copy.deepcopy(_get(document, step.from_ or ""))
        if step.op == "move":
            _remove(document, step.from_ or "")
        _add(document, step.path, value)
    elif step.op == "add":
        _add(document, step.path, step.value)
    else:
        _remove(document, step.path)
        if step.op == "replace":
            _add(document, step.path, step.value)


def _names(path: str) -> list[str]:
    names = [name.replace("~1", "/").replace("~0", "~") for name in path.split("/")]
    if len(names) < 3 or names[:2] != ["", "data"]:
        raise _Refused("invalid_path", "A path below /data is expected")
    return names[1:]


def _parent(document: dict[str, Any], path: str) -> tuple[Any, str]:
    *way, last = _names(path)
    target: Any = document
    for name in way:
        target = _child(target, name)
    return target, last


def _child(target: Any, name: str) -> Any:
    if isinstance(target, dict) and name in target:
        return target[name]
    if isinstance(target, list):
        return target[_index(target, name, len(target) - 1)]
    raise _Refused("not_found", "There is nothing at the path")


def _index(target: list[Any], name: str, most: int) -> int:
    if not (name.isascii() and name.isdigit() and len(name) < 7 and int(name) <= most):
        raise _Refused("not_found", "There is nothing at the path")
    return int(name)


def _get(document: dict[str, Any], path: str) -> Any:
    return _child(*_parent(document, path))


def _add(document: dict[str, Any], path: str, value: Any) -> None:
    target, name = _parent(document, path)
    if isinstance(target, dict):
        target[name] = value
    elif isinstance(target, list):
        target.insert(len(target) if name == "-" else _index(target, name, len(target)), value)
    else:
        raise _Refused("not_found", "There is nothing at the path")


def _remove(document: dict[str, Any], path: str) -> None:
    target, name = _parent(document, path)
    _child(target, name)
    del target[int(name) if isinstance(target, list) else name]
