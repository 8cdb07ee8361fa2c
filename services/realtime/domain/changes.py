"""A change of a record, read once and judged many times."""

from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from uuid import UUID

import msgspec

State = Mapping[str, object]

_STATE = msgspec.json.Decoder(dict[str, object], float_hook=Decimal)
state = _STATE.decode
"""What is known of a record, of its JSON text."""
_VALUE = msgspec.json.Decoder(float_hook=Decimal)
_COLUMNS = ("id", "pipeline_id", "version", "title", "created_at", "created_by", "updated_at", "updated_by")


class Actor(msgspec.Struct, frozen=True):
    """Who made a change."""

    id: UUID
    kind: str
    name: str


class Recorded(msgspec.Struct, frozen=True):
    """Data of `records.record.*`: the record after the change, the changed fields and their old values."""

    record: msgspec.Raw
    changed: tuple[str, ...] = ()
    old: dict[str, msgspec.Raw] = {}
    actor: Actor | None = None
    operation_id: str | None = None


class Head(msgspec.Struct, frozen=True):
    """What of a record is read to route it."""

    id: UUID
    pipeline_id: UUID
    version: int
    data: msgspec.Raw


class Change:
    """One event of one record, at its position in the stream. `verb`: created, updated, deleted, restored."""

    def __init__(self, seq: int, verb: str, time: str, data: Recorded) -> None:
        self.seq = seq
        self.verb = verb
        self.time = time
        self.record = data.record
        self.head = msgspec.json.decode(data.record, type=Head)
        self.changed = data.changed
        self.actor = data.actor
        self.operation_id = data.operation_id
        self._old = data.old

    @property
    def size(self) -> int:
        """Bytes that it keeps in memory, about."""
        return len(bytes(self.record)) + sum(len(bytes(raw)) for raw in self._old.values())

    @cached_property
    def channels(self) -> tuple[str, ...]:
        """The names of the channels that are told of it."""
        return f"record:{self.head.id}", f"pipeline:{self.head.pipeline_id}", "tenant"

    @cached_property
    def after(self) -> State:
        """The record after the change."""
        return state(self.record)

    @cached_property
    def before(self) -> State:
        """The record before the change, as far as the event tells it."""
        old = {name: _VALUE.decode(raw) for name, raw in self._old.items()}
        columns = {name: value for name, value in old.items() if name in _COLUMNS}
        data = self.after.get("data")
        assert isinstance(data, dict)
        return {**self.after, **columns, "data": {**data, **old}}

    @cached_property
    def values(self) -> dict[str, msgspec.Raw]:
        """The values of the record after the change, unread."""
        return msgspec.json.decode(self.head.data, type=dict[str, msgspec.Raw])

    @cached_property
    def columns(self) -> dict[str, msgspec.Raw]:
        """What a record has besides its data, unread."""
        raw = msgspec.json.decode(self.record, type=dict[str, msgspec.Raw])
        return {name: raw[name] for name in _COLUMNS if name in raw}
