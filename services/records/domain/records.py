"""A record as it is worked on, and what others are told of a change."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from libs.common.clock import rfc3339
from libs.common.errors import StaleVersion
from libs.common.events import NewEvent
from libs.common.identity import Principal
from libs.common.ids import new_id
from services.records.domain.fields import Data, same


class Record(msgspec.Struct, frozen=True):
    """A record as the API and the events show it; times are RFC 3339."""

    id: UUID
    pipeline_id: UUID
    version: int
    title: str
    data: Data
    created_at: str
    created_by: UUID
    updated_at: str
    updated_by: UUID


class Actor(msgspec.Struct, frozen=True):
    """Who changed a record."""

    id: UUID
    kind: str
    name: str


def actor_of(principal: Principal) -> Actor:
    """A principal as events tell of it."""
    return Actor(principal.id, principal.kind, principal.name)


class RecordChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """Data of `records.record.*`: the record after the change, the changed fields, and their old values."""

    record: Record
    changed: list[str]
    old: Data
    actor: Actor
    operation_id: str | None = None


class End(msgspec.Struct, frozen=True):
    """One end of a relationship."""

    id: UUID
    pipeline_id: UUID


class RelationshipChange(msgspec.Struct, frozen=True):
    """Data of `records.relationship.*`."""

    id: UUID
    relationship_type: str
    source: End
    target: End
    attributes: msgspec.Raw | None = None


class Edge(msgspec.Struct, frozen=True):
    """A relationship as it is stored; `field` names the relation field that made it, if one did. What is said of the
    relationship itself, its `attributes`, is JSON text.
    """

    id: UUID
    type: str
    source_id: UUID
    source_pipeline: UUID
    target_id: UUID
    target_pipeline: UUID
    field: str = ""
    one_target: bool = False
    one_source: bool = False
    attributes: str | None = None

    def event(self, verb: str) -> NewEvent:
        """`records.relationship.<verb>`."""
        source, target = End(self.source_id, self.source_pipeline), End(self.target_id, self.target_pipeline)
        said = None if self.attributes is None else msgspec.Raw(self.attributes)
        data = RelationshipChange(self.id, self.type, source, target, said)
        return NewEvent(f"records.relationship.{verb}", self.id, data)


class Change(msgspec.Struct, frozen=True):
    """One step of a record: what was done, and the record before (null when it is new) and after."""

    operation: str
    after: Record
    changed: list[str]
    before: Record | None = None

    @property
    def old(self) -> Data:
        """The values before, of the fields that changed and had one."""
        if self.before is None:
            return {}
        before = self.before.data
        return {name: before[name] for name in self.changed if name in before}

    def difference(self) -> dict[str, dict[str, object]]:
        """Old and new values by field, as history keeps them."""
        old, new = self.old, self.after.data
        return {name: {"old": old.get(name), "new": new.get(name)} for name in self.changed}

    def event(self, principal: Principal, operation_id: str | None = None) -> NewEvent:
        """`records.record.<operation>`."""
        actor = actor_of(principal)
        data = RecordChange(self.after, self.changed, self.old, actor, operation_id)
        return NewEvent(f"records.record.{self.operation}", self.after.id, data)


class Buried(msgspec.Struct, frozen=True):
    """Data of `records.tombstone.created`: a record that is gone for good, and who took it away."""

    id: UUID
    pipeline_id: UUID
    by: Actor


def buried(record_id: UUID, pipeline_id: UUID, by: Actor) -> NewEvent:
    """`records.tombstone.created`."""
    return NewEvent("records.tombstone.created", record_id, Buried(record_id, pipeline_id, by))


class Streamed(msgspec.Struct, frozen=True):
    """Data of `records.export.streamed`: somebody reads records of a pipeline as a file."""

    id: UUID
    pipeline_id: UUID
    format: str
    by: Actor


def streamed(pipeline_id: UUID, form: str, by: Actor) -> NewEvent:
    """`records.export.streamed`."""
    export_id = new_id()
    return NewEvent("records.export.streamed", export_id, Streamed(export_id, pipeline_id, form, by))


class Merging(msgspec.Struct, frozen=True):
    """Data of `records.merge.created` and `undone`: which records became one, or are apart again, and by whom."""

    id: UUID
    pipeline_id: UUID
    target_id: UUID
    sources: list[UUID]
    by: Actor


def merged(verb: str, it: Merging) -> NewEvent:
    """`records.merge.<verb>`."""
    return NewEvent(f"records.merge.{verb}", it.id, it)


def advanced(record: Record, data: Data, title: str, by: UUID, at: datetime) -> Record:
    """The record at its next version."""
    return Record(
        record.id, record.pipeline_id, record.version + 1, title, data,
        record.created_at, record.created_by, rfc3339(at), by,
    )  # fmt: skip


class Conflict(msgspec.Struct, frozen=True):
    """A field that someone else changed since: at the base version, now, and as it was to become."""

    field: str
    base: Any
    current: Any
    attempted: Any


def collisions(
    current: Mapping[str, object], attempted: Mapping[str, object], since: Mapping[str, object]
) -> list[Conflict]:
    """The attempted fields that others changed since the base; `since` has their values at the base."""
    return [
        Conflict(name, since[name], current.get(name), value)
        for name, value in attempted.items()
        if name in since and not same(current.get(name), value)
    ]


def stale(version: int, conflicts: Iterable[Conflict] = ()) -> StaleVersion:
    """The error of a change made to an old version."""
    shown = [msgspec.to_builtins(conflict) for conflict in conflicts]
    extra: dict[str, object] = {"version": version}
    return StaleVersion(extra={**extra, "conflicts": shown})
