"""Lists of people and roles in an order and with the fields that are asked for (`sort=`, `fields=`, keyset cursors)."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from types import SimpleNamespace
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from libs.common.errors import Fault, Invalid

T = TypeVar("T")

MAX_KEYS = 4
KINDS: Mapping[str, type] = {
    "id": UUID, "email": str, "name": str, "status": str, "locale": str, "slug": str, "version": int,
    "created_at": datetime, "updated_at": datetime,
}  # fmt: skip


class Key(msgspec.Struct, frozen=True):
    """One of the keys of an order."""

    name: str
    descending: bool


def order(text: str | None, names: Collection[str]) -> tuple[Key, ...]:
    """The order that `sort=` asks for, by fields of these names; the id decides at last."""
    parts = [part.strip() for part in (text or "").split(",") if part]
    keys = [Key(part.removeprefix("-"), part.startswith("-")) for part in parts]
    unknown = [key.name for key in keys if key.name not in names]
    faults = [Fault("/sort", "unknown_field", f"There is no field '{name}' to sort by") for name in unknown]
    if len(keys) > MAX_KEYS:
        faults.append(Fault("/sort", "too_many_keys", f"At most {MAX_KEYS} keys are taken"))
    if len({key.name for key in keys}) < len(keys):
        faults.append(Fault("/sort", "duplicate_field", "A field is given twice"))
    if faults:
        raise Invalid(errors=faults)
    if any(key.name == "id" for key in keys):
        return tuple(keys)
    return (*keys, Key("id", keys[-1].descending if keys else False))


def cursor_of(keys: Sequence[Key], row: object) -> str:
    """Where a list of that order goes on after a row."""
    values = [[key.name, key.descending, getattr(row, key.name)] for key in keys]
    return urlsafe_b64encode(msgspec.json.encode(values)).decode().rstrip("=")


def after(keys: Sequence[Key], cursor: str | None) -> list[Any] | None:
    """The values of the row that a list goes on after; None at its beginning. One of another order is refused."""
    if cursor is None:
        return None
    try:
        told = msgspec.json.decode(urlsafe_b64decode(cursor + "=="), type=list[tuple[str, bool, str | int]])
        if [(name, descending) for name, descending, _ in told] == [(key.name, key.descending) for key in keys]:
            return [msgspec.convert(value, KINDS[name]) for name, _, value in told]
    except (ValueError, msgspec.MsgspecError):
        pass
    raise Invalid(errors=[Fault("/cursor", "invalid_cursor", "The cursor is not one of this list")])


def rest(rows: Sequence[T], keys: Sequence[Key], values: list[Any] | None) -> list[T]:
    """The rows of a short list in that order, after the row that had these values."""
    marker = None if values is None else SimpleNamespace(**{key.name: it for key, it in zip(keys, values, strict=True)})
    found: list[Any] = [*rows, *([marker] if marker else [])]
    for key in reversed(keys):
        found.sort(key=attrgetter(key.name), reverse=key.descending)
    return found[found.index(marker) + 1 :] if marker else found


def beyond(keys: Sequence[Key], first: int) -> str:
    """SQL for what comes behind a row whose values are parameters from the first on."""
    parts = []
    for index, key in enumerate(keys):
        same = [f"{before.name} = ${first + place}" for place, before in enumerate(keys[:index])]
        parts.append(" and ".join([*same, f"{key.name} {'<' if key.descending else '>'} ${first + index}"]))
    return "(" + " or ".join(f"({part})" for part in parts) + ")"


def sql(keys: Sequence[Key]) -> str:
    """The order in SQL."""
    return ", ".join(f"{key.name} desc" if key.descending else key.name for key in keys)


def only(items: Sequence[msgspec.Struct], fields: str | None) -> list[Any]:
    """Items with the fields that are asked for, and always their ids."""
    if fields is None or not items:
        return list(items)
    names = [name.strip() for name in fields.split(",")]
    known = items[0].__struct_fields__
    if unknown := [name for name in names if name not in known]:
        raise Invalid(errors=[Fault("/fields", "unknown_field", f"There is no field '{name}'") for name in unknown])
    return [{name: getattr(it, name) for name in known if name in names or name == "id"} for it in items]
