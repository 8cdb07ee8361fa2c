"""Order and pages: `sort=-score,name`, nulls last, the id breaks ties.

A page is read as a few *segments*, each a run of the order in which every leading key is either fixed, behind a
bound, or null. In each the nulls are out of the way, so one ordinary ascending index on `(tenant_id, pipeline_id,
expression(field), id)` serves both directions and every depth at the same cost. The tie-breaking id runs in the
direction of the last key.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from libs.common.errors import Fault, Invalid
from libs.common.filters.cursors import decode_cursor, encode_cursor, invalid_cursor
from libs.common.filters.schema import COLUMNS, Field, Kind, Schema
from libs.common.filters.sql import expression
from libs.common.filters.syntax import Node, dump

MAX_KEYS = 5


@dataclass(frozen=True, slots=True)
class Key:
    """One key of an order."""

    field: Field
    descending: bool = False

    @property
    def nullable(self) -> bool:
        """Whether rows may have no value."""
        return self.field.column not in ("id", "version", "created_at", "updated_at")

    def order(self, alias: str, nulls: bool) -> str:
        """The order-by item, with the place of nulls where there may be any."""
        direction = " desc" if self.descending else ""
        last = " nulls last" if nulls and self.descending and self.nullable else ""
        return f"{expression(self.field, alias)}{direction}{last}"


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of the order: the condition its rows meet, and the order among them."""

    condition: str
    order_by: str


@dataclass(frozen=True, slots=True)
class Sort:
    """A total order of the records of a list: the last key is the id."""

    keys: tuple[Key, ...]

    def __str__(self) -> str:
        return ",".join(f"{'-' if key.descending else ''}{key.field.name}" for key in self.keys)

    def binding(self, node: Node | None, scope: str = "") -> str:
        """What a cursor belongs to: this order, a filter, and whatever else makes the list (say, the pipeline)."""
        tree = msgspec.json.encode(dump(node)).decode() if node else ""
        return f"{self}\n{scope}\n{tree}"

    def order_by(self, alias: str = "r") -> str:
        """The order as one order-by list."""
        return ", ".join(key.order(alias, nulls=True) for key in self.keys)

    def key(self, alias: str = "r") -> str:
        """The sort key of a row as JSON text, for `encode`; select it beside the row's columns."""
        values = ", ".join(_key_value(key.field, alias) for key in self.keys)
        return f"jsonb_build_array({values})::text"

    def encode(self, key: str, binding: str) -> str:
        """The cursor after a row with this key."""
        return encode_cursor(key, binding)

    def decode(self, cursor: str, binding: str) -> list[object]:
        """The bound values of the row a cursor stands after; raises Invalid (`invalid_cursor`)."""
        values = decode_cursor(cursor, binding)
        if len(values) != len(self.keys):
            raise invalid_cursor()
        try:
            return [_bindable(value, key) for value, key in zip(values, self.keys, strict=True)]
        except (ValueError, TypeError, ArithmeticError):
            raise invalid_cursor() from None

    def segments(self, after: Sequence[object] | None, params: list[object], alias: str = "r") -> list[Segment]:
        """The runs of the order after a row (or from the beginning), in order; together they are all of the rest.

        Values of the row are appended to `params`.
        """
        if after is None:
            return self._runs([], 0, alias)
        return self._after(after, params, alias)

    def condition(self, after: Sequence[object], params: list[object], alias: str = "r") -> str:
        """The rows after a row as one condition: right at any depth, but not an index range as segments are."""
        return f"({' or '.join(f'({run.condition})' for run in self.segments(after, params, alias))})"

    def page(
        self,
        columns: str,
        where: str,
        after: Sequence[object] | None,
        limit: int,
        params: list[object],
        alias: str = "r",
    ) -> str:
        """A select of up to `limit` rows of `records` after a row, in order, `cursor_key` being its last column.

        Segments are appended lazily: PostgreSQL reads the next one only when those before did not fill the limit.
        """
        runs = self.segments(after, params, alias)
        params.append(limit)
        return _select(f"{columns}, {self.key(alias)} as cursor_key", where, runs, f"${len(params)}::bigint", alias)

    def rows(
        self,
        columns: str,
        where: str,
        after: Sequence[object] | None,
        limit: str,
        params: list[object],
        alias: str = "r",
        *,
        within: str = "",
        present: bool = False,
    ) -> str:
        """The same of columns alone, with a limit in SQL. `within` is what all rows have in common in an index before
        the keys, `present` is where no row can be without the first key.
        """
        runs = self.segments(after, params, alias)
        without = f"{expression(self.keys[0].field, alias)} is null"
        kept = [run for run in runs if run.condition != without] if present else runs
        common = f"{within}{' desc' if self.keys[0].descending else ''}, " if within else ""
        return _select(columns, where, kept, limit, alias, common)

    def _after(self, after: Sequence[object], params: list[object], alias: str) -> list[Segment]:
        fixed = [_is(key, value, params, alias) for key, value in zip(self.keys[:-1], after, strict=False)]
        runs: list[Segment] = []
        for index in reversed(range(len(self.keys))):
            if after[index] is not None:
                runs += self._beyond(index, after, params, fixed[:index], alias)
        return runs

    def _beyond(
        self, index: int, after: Sequence[object], params: list[object], fixed: list[str], alias: str
    ) -> list[Segment]:
        """The rows that agree in the keys before and are behind in this one: past the value, then null."""
        key = self.keys[index]
        left = expression(key.field, alias)
        past = f"{left} {'<' if key.descending else '>'} {_bind(after[index], key, params)}"
        runs = [self._run([*fixed, past], index, alias)]
        return [*runs, self._run([*fixed, f"{left} is null"], index, alias)] if key.nullable else runs

    def _runs(self, fixed: list[str], index: int, alias: str) -> list[Segment]:
        key = self.keys[index]
        if not key.nullable:
            return [self._run([*fixed, "true"], index, alias)]
        left = expression(key.field, alias)
        return [
            self._run([*fixed, f"{left} is not null"], index, alias),
            self._run([*fixed, f"{left} is null"], index, alias),
        ]

    def _run(self, conditions: list[str], index: int, alias: str) -> Segment:
        """Up to the index keys are all null or all not, so the place of nulls need not be said: any index serves."""
        order = [key.order(alias, nulls=place > index) for place, key in enumerate(self.keys)]
        return Segment(" and ".join(conditions), ", ".join(order))


def _select(columns: str, where: str, runs: Sequence[Segment], limit: str, alias: str, common: str = "") -> str:
    source = f"select {columns} from records {alias} where ({where})"  # noqa: S608 - values are bound
    selects = [f"({source} and {run.condition} order by {common}{run.order_by} limit {limit})" for run in runs]
    return " union all ".join(selects) + (f" limit {limit}" if len(selects) > 1 else "")


def parse_sort(text: str | None, schema: Schema) -> Sort:
    """The order that `sort=` asks for; by id without one. Raises Invalid with every fault."""
    faults: list[Fault] = []
    keys: list[Key] = []
    names = [part.strip() for part in text.split(",")] if text else []
    if len(names) > MAX_KEYS:
        raise Invalid(errors=[Fault("/sort", "too_many_keys", f"At most {MAX_KEYS} keys are taken.")])
    for name in names:
        _add(name, schema, keys, faults)
    if faults:
        raise Invalid("The sort is not valid.", errors=faults)
    return Sort(_total(keys))


def _add(text: str, schema: Schema, keys: list[Key], faults: list[Fault]) -> None:
    name = text.removeprefix("-")
    field = schema.fields.get(name)
    if field is None:
        faults.append(Fault("/sort", "unknown_field", f"There is no field {name!r}."))
    elif field.stored_kind in (Kind.LIST, Kind.JSON):
        faults.append(Fault("/sort", "not_sortable", f"{name!r} has no order."))
    elif any(key.field is field for key in keys):
        faults.append(Fault("/sort", "duplicate_field", f"{name!r} is given twice."))
    else:
        keys.append(Key(field, text.startswith("-")))


def _total(keys: list[Key]) -> tuple[Key, ...]:
    """The keys up to and with the id, which decides."""
    for index, key in enumerate(keys):
        if key.field.column == "id":
            return tuple(keys[: index + 1])
    return (*keys, Key(COLUMNS["id"], keys[-1].descending if keys else False))


def _key_value(field: Field, alias: str) -> str:
    left = expression(field, alias)
    if field.column and field.kind is Kind.DATETIME:
        return f"to_char({left} at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"+00:00\"')"
    return left


def _type(key: Key) -> str:
    field = key.field
    if field.column and field.kind is Kind.DATETIME:
        return "timestamptz"
    return {
        Kind.NUMBER: "bigint" if field.column else "numeric",
        Kind.DURATION: "numeric",
        Kind.BOOLEAN: "boolean",
        Kind.UUID: "uuid",
        Kind.RELATION: "uuid",
    }.get(field.kind, "text")


def _bind(value: object, key: Key, params: list[object]) -> str:
    params.append(value)
    return f"${len(params)}::{_type(key)}"


def _is(key: Key, value: object, params: list[object], alias: str) -> str:
    left = expression(key.field, alias)
    return f"{left} is null" if value is None else f"{left} = {_bind(value, key, params)}"


def _bindable(value: object, key: Key) -> object:
    if value is None and key.nullable:
        return None
    return _BINDABLE[_type(key)](value)


def _exactly(*types: type) -> Callable[[object], object]:
    def check(value: object) -> object:
        if type(value) not in types:
            raise TypeError
        return value

    return check


_BINDABLE: dict[str, Callable[[object], object]] = {
    "text": _exactly(str),
    "boolean": _exactly(bool),
    "bigint": _exactly(int),
    "numeric": lambda value: Decimal(str(_exactly(int, Decimal)(value))),
    "uuid": lambda value: UUID(str(_exactly(str)(value))),
    "timestamptz": lambda value: datetime.fromisoformat(str(_exactly(str)(value))),
}
