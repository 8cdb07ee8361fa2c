"""Definitions of pipelines and types of relationships, as the pipelines service announces them.

Only what records need is read; what a definition says besides is ignored.
"""

from typing import Any, Literal
from uuid import UUID

import msgspec

HIDDEN = "@"
"""In the key of what a removed field held, and in no field's name."""


class Choice(msgspec.Struct, frozen=True):
    """An option of a select, or a stage with the fields that a record must have to enter it."""

    value: str
    required_fields: tuple[str, ...] = ()


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field; which options mean something depends on its type."""

    name: str
    type: str
    label: str | None = None
    required: bool = False
    unique: bool = False
    indexed: bool = False
    searchable: bool = False
    default: Any = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    kind: str | None = None
    min: float | None = None
    max: float | None = None
    step: float | None = None
    options: tuple[Choice, ...] = ()
    stages: tuple[Choice, ...] = ()
    transitions: dict[str, tuple[str, ...]] | None = None
    target_pipeline: UUID | None = None
    relationship_type: str | None = None
    cardinality: str = "many_to_one"
    display_field: str | None = None
    case: str = "keep"
    collaborative: bool = False
    currency: str | None = None
    decimals: int | None = None
    default_country: str | None = None
    prefix: str = ""
    padding: int = 0
    multiple: bool = False
    types: tuple[str, ...] = ()
    max_size: int | None = None
    expression: str | None = None
    result_type: str | None = None
    relation: str | None = None
    inverse: bool = False
    field: str | None = None
    function: str | None = None
    filter: dict[str, Any] | None = None

    @property
    def many(self) -> bool:
        """Whether a relation, a user or a file field holds a list of ids."""
        if self.type in ("user", "file", "lookup"):
            return self.multiple
        return self.cardinality in ("one_to_many", "many_to_many")

    @property
    def edge_type(self) -> str:
        """The name of the type of a relation's edges."""
        return self.relationship_type or self.name


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """While `when` holds on a record, the fields are shown, hidden or required."""

    effect: str
    when: dict[str, Any]
    fields: tuple[str, ...]


class Move(msgspec.Struct, frozen=True):
    """Values that go by another name from now on; a key with `@` is one of the trash of fields."""

    old: str
    new: str


class By(msgspec.Struct, frozen=True):
    """Who changed a definition."""

    id: UUID
    kind: Literal["user", "api_key", "device"]
    name: str
    roles: tuple[UUID, ...] = ()


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """What a change of the definition, of which this is the version, asks of records; a job does it.

    Values move, are converted to their field's new type, are filled with its default where there is none, are claimed
    because they are unique from now on; what removed fields held is purged; values are computed anew.
    """

    job_id: UUID
    version: int
    by: By
    moves: tuple[Move, ...] = ()
    converts: tuple[str, ...] = ()
    fills: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    purges: tuple[str, ...] = ()
    computes: tuple[str, ...] = ()

    @property
    def renames(self) -> dict[str, str]:
        """The fields that go by other names."""
        return {move.old: move.new for move in self.moves if HIDDEN not in move.old + move.new}


class Definition(msgspec.Struct, frozen=True):
    """A pipeline at one version. `claims` are the names under which the values of unique fields are claimed."""

    id: UUID
    name: str
    version: int
    fields: tuple[Field, ...]
    title_template: str | None = None
    deleted: bool = False
    rules: tuple[Rule, ...] = ()
    require_if_match: bool = False
    claims: dict[str, str] = {}
    pending: tuple[Pending, ...] = ()
    by: By | None = None

    def claim_of(self, name: str) -> str:
        """The name under which the values of a unique field are claimed."""
        return self.claims.get(name, name)


class RelationshipType(msgspec.Struct, frozen=True):
    """A type of relationship: which pipelines it joins (null: any), how many, and what deleting a target does."""

    id: UUID
    name: str
    version: int
    inverse_name: str | None = None
    source_pipeline: UUID | None = None
    target_pipeline: UUID | None = None
    cardinality: str = "many_to_many"
    on_delete: str = "unlink"
    deleted: bool = False
