"""Rows of a table as data of records: each cell in the field of its column, coerced; names of records as they are."""

from collections.abc import Callable, Mapping
from typing import TypeAlias
from uuid import UUID

from services.records.domain.coercion import Coerce, compile_coercion
from services.records.domain.definitions import Field
from services.records.domain.tables import Values

Suggest: TypeAlias = Callable[[str], str | None]


class RowShape:
    """Turns rows into data. Without a mapping of its own a column goes where `suggest` says, asked once for each."""

    def __init__(self, fields: Mapping[str, Field], mapping: Mapping[str, str | None] | None, suggest: Suggest) -> None:
        self._fields = fields
        self._suggest = suggest if mapping is None else lambda _: None
        self._known: dict[str, tuple[str, Coerce] | None] = {}
        self.used: dict[str, str] = {}
        for column, name in (mapping or {}).items():
            self._learn(column, name)

    def data(self, row: Values) -> dict[str, object]:
        """The data that a row gives; an empty cell gives none, unless the row says null."""
        data: dict[str, object] = {}
        for column, cell in row.items():
            if cell == "":
                continue
            known = self._known[column] if column in self._known else self._learn(column, self._suggest(column))
            if known is None:
                continue
            value = known[1](cell)
            if value is not None:
                data[known[0]] = value
        return data

    def _learn(self, column: str, name: str | None) -> tuple[str, Coerce] | None:
        if len(self._known) >= 10_000:
            return None
        field = self._fields.get(name) if name is not None else None
        found = None if field is None or field.name in self.used.values() else (field.name, compile_coercion(field))
        self._known[column] = found
        if found is not None:
            self.used[column] = found[0]
        return found


def named(field: Field, data: Mapping[str, object]) -> list[str]:
    """What a row calls records by in a relation field, where that is not their id."""
    value = data.get(field.name)
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, str) and not _is_id(item)]


def replaced(field: Field, data: dict[str, object], ids: Mapping[str, str]) -> list[str]:
    """Puts ids in place of names; the names that nothing goes by."""
    value = data.get(field.name)
    items = value if isinstance(value, list) else [value]
    missing = [item for item in named(field, data) if item not in ids]
    if not missing:
        found = [ids.get(item, item) if isinstance(item, str) else item for item in items]
        data[field.name] = found if isinstance(value, list) else found[0]
    return missing


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
