"""How records follow their pipeline from one definition to the next: values move, are converted, are filled in.

What is done to a value comes out the same when it is done again, so a record may be brought along at any time: by its
next writer, or by the job that goes through all of them.
"""

from collections.abc import Callable, Container, Mapping
from typing import TypeVar

import msgspec

from services.records.domain.checks import compile_check
from services.records.domain.definitions import HIDDEN, Field, Pending
from services.records.domain.fields import Data, same
from services.records.domain.pipelines import Pipeline
from services.records.domain.values import Wrong

T = TypeVar("T")
Guess = Callable[[object], object]


class Reshaped(msgspec.Struct, frozen=True):
    """A record's data brought along. `kept` is what goes to the trash, by key; `changed` the fields that got others."""

    data: Data
    kept: Mapping[str, object]
    moved: bool
    changed: tuple[str, ...]


def reshaped(pipeline: Pipeline, pending: Pending, data: Mapping[str, object], back: Mapping[str, object]) -> Reshaped:
    """The data as the definition has it; `back` are values that come out of the trash, by key."""
    found, kept, moved = dict(data), dict[str, object](), False
    for move in pending.moves:
        if HIDDEN in move.old:
            if back.get(move.old) is not None and found.get(move.new) is None:
                found[move.new] = back[move.old]
                moved = True
        elif move.old in found:
            # A value under the old name is newer than one under the new: who knows the new name moves it first.
            (kept if HIDDEN in move.new else found)[move.new] = found.pop(move.old)
            moved = True
    changed: list[str] = []
    for name in pending.converts:
        if (field := pipeline.fields.get(name)) and found.get(name) is not None:
            _convert(field, pending, found, kept, changed)
    for name in pending.fills:
        if (field := pipeline.fields.get(name)) and blank(found.get(name)) and field.default is not None:
            found[name] = field.default
            changed.append(name)
    return Reshaped(found, kept, moved, tuple(changed))


def _convert(field: Field, pending: Pending, found: Data, kept: dict[str, object], changed: list[str]) -> None:
    old = found[field.name]
    try:
        new = converted(field, old)
    except Wrong:
        kept[stash(field.name, pending)] = old
        new = None
    if same(old, new):
        return
    changed.append(field.name)
    if new is None:
        del found[field.name]
    else:
        found[field.name] = new


def parted(value: object, gone: Container[object]) -> object:
    """A relation field's value without some ids."""
    if isinstance(value, list):
        return [item for item in value if item not in gone]
    return None if value in gone else value


def stash(name: str, pending: Pending) -> str:
    """The key of values that did not fit a field's new type."""
    return f"{name}{HIDDEN}{pending.version}"


def blank(value: object) -> bool:
    """Whether a value is none."""
    return value is None or value == "" or value == [] or value == {}


def converted(field: Field, value: object) -> object:
    """A value of any type as one of this field; `Wrong` where it does not fit."""
    check = compile_check(field)
    try:
        return check(value)
    except Wrong as wrong:
        for guess in _GUESSES.get(field.type, ()):
            try:
                if (other := guess(value)) is not None:
                    return check(_choice(field, other))
            except (Wrong, ValueError, OverflowError):
                continue
        if field.type in ("select", "stage"):
            return check(_choice(field, value))
        raise wrong


def _choice(field: Field, value: object) -> object:
    """The option that a text means, whatever its case."""
    if field.type not in ("select", "stage", "multiselect"):
        return value
    options = {choice.value.casefold(): choice.value for choice in (*field.options, *field.stages)}
    if isinstance(value, list):
        return [options.get(item.strip().casefold(), item) if isinstance(item, str) else item for item in value]
    return options.get(value.strip().casefold(), value) if isinstance(value, str) else value


def _number(value: object) -> object:
    """`1 234.5`, `12 %` and true as numbers; an amount without its currency."""
    match value:
        case bool():
            return int(value)
        case str():
            text = value.strip().removesuffix("%").replace(" ", "").replace("\u00a0", "").replace("_", "")
            number = float(text)
            return int(text) if text.lstrip("+-").isdigit() else number
        case {"amount": int() | float() as amount}:
            return amount
    return None


def _text(value: object) -> object:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case list() if all(isinstance(item, str) for item in value):
            return ", ".join(value)
        case {"amount": amount, "currency": currency}:
            return f"{amount} {currency}"
        case dict() if value and all(isinstance(item, str) for item in value.values()):
            return ", ".join(value.values())
    return value.strip() if isinstance(value, str) else None


def _boolean(value: object) -> object:
    if isinstance(value, str):
        return _BOOLEANS.get(value.strip().casefold())
    return bool(value) if isinstance(value, int | float) and value in (0, 1) else None


def _day(value: object) -> object:
    return value.strip()[:10] if isinstance(value, str) else None


def _moment(value: object) -> object:
    return f"{value.strip()}T00:00:00Z" if isinstance(value, str) else None


def _list(value: object) -> object:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [text] if isinstance(text := _text(value), str) else None


def _single(value: object) -> object:
    return value[0] if isinstance(value, list) and len(value) == 1 else None


_BOOLEANS = dict.fromkeys(("true", "yes", "1", "on"), True) | dict.fromkeys(("false", "no", "0", "off"), False)
_GUESSES: dict[str, tuple[Guess, ...]] = {
    "text": (_text,), "textarea": (_text,), "email": (_text, _single), "url": (_text, _single),
    "phone": (_text, _single), "number": (_number,), "rating": (_number,), "boolean": (_boolean,),
    "date": (_day,), "datetime": (_moment,), "select": (_single, _text), "stage": (_single, _text),
    "multiselect": (_list,), "tags": (_list,), "duration": (_text,),
}  # fmt: skip


def shown_now(pipeline: Pipeline, changes: Mapping[str, T]) -> dict[str, T]:
    """Lines of history by the names that fields have now, without those of removed fields."""
    now = {pipeline.renaming.get(name, name): value for name, value in changes.items()}
    return {name: value for name, value in now.items() if name in pipeline.fields}
