"""What clients send and get: the Structs of requests and, for the document, of answers."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from libs.common.errors import Fault
from libs.common.http import Input
from services.records.domain.attributes import said
from services.records.domain.records import Edge, End, Record
from services.records.domain.values import MAX_RELATED
from services.records.usecases.create import LinkRequest
from services.records.usecases.history import HistoryEntry


class RelationshipInput(Input):
    """A relationship to another record, by the name of its type or of the type's inverse; `attributes` say something of
    the relationship itself, such as since when, in up to 16 KiB of JSON.
    """

    target_pipeline: UUID
    target_record: UUID
    relationship_type: str
    attributes: dict[str, Any] | None = None

    def request(self) -> LinkRequest:
        """What is asked for."""
        return LinkRequest(self.target_pipeline, self.target_record, self.relationship_type, said(self.attributes))


class RelationshipPatch(Input):
    """A merge patch (RFC 7396) of what is said of a relationship; null takes all of it away."""

    attributes: dict[str, Any] | None


# As many as a relation field holds.
Relationships = Annotated[tuple[RelationshipInput, ...], msgspec.Meta(max_length=MAX_RELATED)]


class RecordInput(Input):
    """A new record."""

    data: dict[str, Any]
    relationships: Relationships = ()


class DataInput(Input):
    """The data of a record: a merge patch (RFC 7396), or with PUT all of it."""

    data: dict[str, Any]


class IncrementInput(Input):
    """How much to add to which number."""

    field: str
    by: int | float = 1


class RevertInput(Input):
    """The version that a record goes back to."""

    version: Annotated[int, msgspec.Meta(ge=1, le=2**53)]


class BatchOperation(Input):
    """One operation: create takes `data` and `relationships`, update `id`, `data` and `version`, upsert `by` and
    `data`, delete `id` and `version`.
    """

    op: Literal["create", "update", "upsert", "delete"]
    id: UUID | None = None
    by: str | None = None
    data: dict[str, Any] | None = None
    version: int | None = None
    relationships: Relationships = ()


class BatchInput(Input):
    """Up to 10,000 operations; `atomic` is all or nothing, a dry run writes nothing."""

    operations: list[BatchOperation]
    atomic: bool = False
    dry_run: bool = False


class BatchResult(msgspec.Struct, omit_defaults=True):
    """What became of one operation: `created updated unchanged deleted failed`."""

    index: int
    status: str
    id: UUID | None = None
    version: int | None = None
    errors: tuple[Fault, ...] = ()


class BatchAnswer(msgspec.Struct):
    """What became of all."""

    results: list[BatchResult]
    created: int
    updated: int
    unchanged: int
    deleted: int
    failed: int


class Relationship(msgspec.Struct, omit_defaults=True):
    """A relationship; `field` names the relation field that it stands for, if one does."""

    id: UUID
    relationship_type: str
    source: End
    target: End
    field: str | None = None
    attributes: dict[str, Any] | None = None

    @classmethod
    def of(cls, edge: Edge) -> "Relationship":
        """The relationship that is stored."""
        source, target = End(edge.source_id, edge.source_pipeline), End(edge.target_id, edge.target_pipeline)
        said = None if edge.attributes is None else msgspec.json.decode(edge.attributes)
        return cls(edge.id, edge.type, source, target, edge.field or None, said)


class MadeRecord(Record, frozen=True, kw_only=True):
    """A record that was just made, with the relationships that were asked for."""

    relationships: list[Relationship]


class ReachedRecord(Record, frozen=True, kw_only=True):
    """A record that a walk came to, and in how many steps."""

    depth: int


class RecordPage(msgspec.Struct, omit_defaults=True):
    """One page of records."""

    items: list[Record]
    next_cursor: str | None
    count: int | None = None


class ReachedPage(msgspec.Struct, omit_defaults=True):
    """One page of what a walk came to."""

    items: list[ReachedRecord]
    next_cursor: str | None
    count: int | None = None


class Group(msgspec.Struct):
    """One group: the values it shares, and its metrics by the names they were asked for."""

    group: dict[str, Any]
    metrics: dict[str, Any]


class GroupList(msgspec.Struct):
    """The groups, the largest first, a thousand at most."""

    items: list[Group]


class HistoryPage(msgspec.Struct, omit_defaults=True):
    """One page of history, newest first."""

    items: list[HistoryEntry]
    next_cursor: str | None
    count: int | None = None


class Path(msgspec.Struct):
    """The shortest way between two records; `length` is null where none was found."""

    length: int | None
    records: list[Record]
    relationships: list[Relationship]
