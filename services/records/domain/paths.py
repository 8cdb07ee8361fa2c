"""The ways through relationships that a traversal may take."""

from typing import Literal, TypeAlias, get_args

import msgspec

from libs.common.errors import Fault, Invalid

MAX_DEPTH = 6
MAX_NODES = 10_000

Direction: TypeAlias = Literal["out", "in", "both"]


class Step(msgspec.Struct, frozen=True):
    """One step: a type of relationship (null is any), walked along its arrow, against it, or both."""

    type: str | None
    along: bool
    against: bool


def parse_steps(path: str | None, direction: str, max_depth: int | None) -> list[Step]:
    """The steps of `path=a,~b`, where `~` turns a step around; without a path a type is any."""
    faults: list[Fault] = []
    if direction not in get_args(Direction):
        faults.append(Fault("/direction", "invalid_option", "'direction' is out, in or both"))
    if max_depth is not None and not 1 <= max_depth <= MAX_DEPTH:
        faults.append(Fault("/max_depth", "out_of_range", f"'max_depth' is from 1 to {MAX_DEPTH}"))
    names = [part.strip() for part in path.split(",")] if path else []
    if len(names) > MAX_DEPTH:
        faults.append(Fault("/path", "too_long", f"At most {MAX_DEPTH} steps are taken"))
    if any(not name.removeprefix("~") or len(name) > 64 for name in names):
        faults.append(Fault("/path", "invalid_path", "Names of relationship types are expected, separated by commas"))
    if faults:
        raise Invalid(errors=faults)
    if not names:
        return [_step(None, direction)] * (max_depth or 1)
    return [_step(name, direction) for name in names[:max_depth]]


def _step(name: str | None, direction: str) -> Step:
    if name is not None and name.startswith("~"):
        return Step(name[1:], along=direction == "in", against=direction != "in")
    return Step(name, along=direction != "in", against=direction != "out")
