"""The types whose values are ids of something else: users, files, records."""

from collections.abc import Iterator
from typing import Annotated, Literal, TypeAlias
from uuid import UUID

import msgspec

from libs.common.errors import Fault
from libs.common.filters import Kind
from services.pipelines.domain.fields.base import Field
from services.pipelines.domain.names import type_name_faults

MAX_FILE = 256 * 1024 * 1024

MediaType: TypeAlias = Annotated[str, msgspec.Meta(max_length=127, pattern=r"^[a-z0-9.+-]+/([a-z0-9.+-]+|\*)$")]
Cardinality: TypeAlias = Literal["many_to_one", "one_to_one", "one_to_many", "many_to_many"]


class UserField(Field, frozen=True, kw_only=True, tag="user"):
    """A user of the tenant by id, or with `multiple` a list of them."""

    kind_of = Kind.UUID
    may_have_default = False
    fixed = ("multiple",)

    multiple: bool = False


class FileField(Field, frozen=True, kw_only=True, tag="file"):
    """A file by id, or with `multiple` up to a hundred: bring it first, then name it.

    `types` are media types that are taken (`application/pdf`, `image/*`), without any all are; `max_size` is in bytes.
    """

    kind_of = Kind.UUID
    may_be_indexed = False
    may_have_default = False
    fixed = ("multiple",)

    multiple: bool = False
    types: Annotated[tuple[MediaType, ...], msgspec.Meta(max_length=50)] = ()
    max_size: Annotated[int, msgspec.Meta(ge=1, le=MAX_FILE)] | None = None


class RelationField(Field, frozen=True, kw_only=True, tag="relation"):
    """One or many records of another pipeline, or of the same one, through a type of relationship."""

    kind_of = Kind.RELATION
    may_have_default = False
    fixed = ("target_pipeline", "relationship_type", "cardinality")

    target_pipeline: UUID
    relationship_type: Annotated[str, msgspec.Meta(max_length=63)]
    cardinality: Cardinality = "many_to_one"
    display_field: str | None = None

    def faults(self) -> Iterator[Fault]:
        """A name that a type of relationship may have."""
        yield from super().faults()
        yield from type_name_faults(self.relationship_type, "/relationship_type")
