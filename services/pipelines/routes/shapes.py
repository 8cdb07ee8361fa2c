"""What the routes take and give."""

from typing import Annotated, Any, TypeAlias
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from libs.common import clock
from libs.common.errors import Fault
from libs.common.http import Input
from services.pipelines.domain.definitions import body_faults
from services.pipelines.domain.fields import AnyField, Cardinality, Color
from services.pipelines.domain.pipelines import Pipeline
from services.pipelines.domain.relationship_types import OnDelete, RelationshipType

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]
Slug: TypeAlias = Annotated[str, Meta(max_length=63)]
Description: TypeAlias = Annotated[str, Meta(max_length=2000)]
Icon: TypeAlias = Annotated[str, Meta(max_length=64)]
Template: TypeAlias = Annotated[str, Meta(max_length=500)]
TypeName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=63)]


class SchemaInput(Input, kw_only=True):
    """The fields, in order; `GET /field-types` says what each type takes."""

    fields: list[Any]


class CreatePipeline(Input, kw_only=True):
    """A new pipeline; the slug follows the name where none is given, the title the first text field.

    With `require_if_match` its records are changed only by who names their version.
    """

    name: Name
    slug: Slug | None = None
    description: Description | None = None
    icon: Icon | None = None
    color: Color | None = None
    title_template: Template | None = None
    require_if_match: bool = False
    schema_definition: SchemaInput

    @classmethod
    def more_faults(cls, value: dict[str, object], _: str) -> list[Fault]:
        """What else is wrong with a body whose shape is wrong."""
        return body_faults(value)


class PatchPipeline(Input, kw_only=True):
    """A merge patch (RFC 7396); `fields`, as any list, is replaced as a whole."""

    name: Name | UnsetType = UNSET
    slug: Slug | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    icon: Icon | UnsetType | None = UNSET
    color: Color | UnsetType | None = UNSET
    title_template: Template | UnsetType | None = UNSET
    require_if_match: bool | UnsetType = UNSET
    schema_definition: SchemaInput | UnsetType = UNSET

    @classmethod
    def more_faults(cls, value: dict[str, object], _: str) -> list[Fault]:
        """What else is wrong with a body whose shape is wrong; a title alone may name fields that are there."""
        alone = "schema_definition" not in value
        return body_faults({**value, "title_template": None} if alone else value)


class ClonePipeline(Input, kw_only=True):
    """How the copy is called; `… (copy)` where nothing is said."""

    name: Name | None = None
    slug: Slug | None = None


class SchemaDefinition(msgspec.Struct):
    """A pipeline's fields, in order."""

    fields: tuple[AnyField, ...]


class PipelineOutput(msgspec.Struct):
    """A pipeline with its full definition."""

    id: UUID
    name: str
    slug: str
    version: int
    description: str | None
    icon: str | None
    color: str | None
    title_template: str
    require_if_match: bool
    schema_definition: SchemaDefinition
    created_at: str
    created_by: UUID
    updated_at: str
    updated_by: UUID
    deleted_at: str | None


def pipeline_output(p: Pipeline) -> PipelineOutput:
    """A pipeline as it is shown."""
    return PipelineOutput(
        p.id, p.name, p.slug, p.version, p.description, p.icon, p.color, p.title,
        p.require_if_match, SchemaDefinition(p.fields),
        clock.rfc3339(p.created_at), p.created_by, clock.rfc3339(p.updated_at), p.updated_by,
        clock.rfc3339(p.deleted_at) if p.deleted_at else None,
    )  # fmt: skip


class CreateType(Input, kw_only=True):
    """A new type of relationship; without pipelines it joins any."""

    name: TypeName
    inverse_name: TypeName | None = None
    source_pipeline: UUID | None = None
    target_pipeline: UUID | None = None
    cardinality: Cardinality = "many_to_many"
    on_delete: OnDelete = "unlink"


class PatchType(Input, kw_only=True):
    """A merge patch (RFC 7396)."""

    name: TypeName | UnsetType = UNSET
    inverse_name: TypeName | UnsetType = UNSET
    source_pipeline: UUID | UnsetType | None = UNSET
    target_pipeline: UUID | UnsetType | None = UNSET
    cardinality: Cardinality | UnsetType = UNSET
    on_delete: OnDelete | UnsetType = UNSET


class TypeOutput(msgspec.Struct):
    """A type of relationship."""

    id: UUID
    version: int
    name: str
    inverse_name: str
    source_pipeline: UUID | None
    target_pipeline: UUID | None
    cardinality: Cardinality
    on_delete: OnDelete
    created_at: str
    created_by: UUID
    updated_at: str
    updated_by: UUID


def type_output(k: RelationshipType) -> TypeOutput:
    """A type of relationship as it is shown."""
    return TypeOutput(
        k.id, k.version, k.name, k.inverse_name, k.source_pipeline, k.target_pipeline, k.cardinality, k.on_delete,
        clock.rfc3339(k.created_at), k.created_by, clock.rfc3339(k.updated_at), k.updated_by,
    )  # fmt: skip
