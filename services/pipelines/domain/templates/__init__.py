"""Templates: pipelines for common trades, as data files that a tenant takes over and changes as it likes.

A relation names its target by the slug that the target has in the template; pipelines come after those they relate to.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from services.pipelines.domain.fields import Cardinality
from services.pipelines.domain.relationship_types import OnDelete
from services.pipelines.domain.rules import Effect
from services.pipelines.domain.views import Kind

FOLDER = Path(__file__).parent


class ViewBlueprint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A view that everybody shares."""

    name: str
    kind: Kind
    filter: dict[str, Any] | None = None
    sort: str | None = None
    fields: list[str] | None = None
    group_by: str | None = None
    date_field: str | None = None


class RuleBlueprint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A conditional rule."""

    name: str
    effect: Effect
    when: dict[str, Any]
    fields: tuple[str, ...]


class PipelineBlueprint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pipeline with its views and rules."""

    slug: str
    name: str
    icon: str
    color: str
    title_template: str
    fields: list[dict[str, Any]]
    views: list[ViewBlueprint] = []
    rules: list[RuleBlueprint] = []

    def placed(self, ids: Mapping[str, UUID]) -> list[dict[str, Any]]:
        """The fields, relations with the ids of their targets."""
        return [
            {**field, "target_pipeline": str(ids[field["target_pipeline"]])} if field["type"] == "relation" else field
            for field in self.fields
        ]


class TypeBlueprint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A type of relationship between pipelines of the template."""

    name: str
    inverse_name: str
    source: str
    target: str
    cardinality: Cardinality
    on_delete: OnDelete


class Blueprint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A template."""

    slug: str
    name: str
    description: str
    pipelines: list[PipelineBlueprint]
    relationship_types: list[TypeBlueprint]


@cache
def blueprints() -> Mapping[str, Blueprint]:
    """All templates by slug, in order."""
    found = [msgspec.json.decode(path.read_bytes(), type=Blueprint) for path in sorted(FOLDER.glob("*.json"))]
    return {it.slug: it for it in found}
