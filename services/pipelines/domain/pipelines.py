from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from libs.common.errors import Conflict, NotFound, StaleVersion
from services.pipelines.domain.definitions import Fields
from services.pipelines.domain.evolution import By, Pending
from services.pipelines.domain.fields import AnyField
from services.pipelines.domain.rules import Rule
from services.pipelines.domain.titles import default_template

MAX_PIPELINES = 500
MAX_LEADING = 1000


class Pipeline(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline. `version` counts every change; without `title_template` the title follows the fields.

    `claims` are the names under which the values of unique fields are claimed, where they are not the fields' own;
    `pending` is what jobs of records have not done yet.
    """

    id: UUID
    version: int
    slug: str
    name: str
    description: str | None
    icon: str | None
    color: str | None
    title_template: str | None
    fields: Fields
    rules: tuple[Rule, ...] = ()
    require_if_match: bool = False
    created_at: datetime
    created_by: UUID
    updated_at: datetime
    updated_by: UUID
    deleted_at: datetime | None = None
    claims: dict[str, str] = {}
    pending: tuple[Pending, ...] = ()

    @property
    def title(self) -> str:
        """The template in force."""
        return default_template(self.fields) if self.title_template is None else self.title_template

    def place(self, name: str) -> int | None:
        """The place of a field."""
        return next((i for i, field in enumerate(self.fields) if field.name == name), None)

    def named(self, name: str) -> AnyField:
        """The field of that name; `NotFound` where there is none."""
        index = self.place(name)
        if index is None:
            raise NotFound(f"There is no field '{name}'")
        return self.fields[index]


class Leading(msgspec.Struct, frozen=True):
    """A relation field, and the pipeline that it leads to."""

    pipeline_id: UUID
    field: str
    target: UUID


class Announcement(msgspec.Struct, frozen=True):
    """The full definition, as events and other services have it.

    Where fields are renamed, `leading` are the relation fields over which filters of other pipelines may speak of them,
    by the names that they had.
    """

    id: UUID
    slug: str
    name: str
    version: int
    title_template: str
    deleted: bool
    fields: Fields
    rules: tuple[Rule, ...] = ()
    require_if_match: bool = False
    claims: dict[str, str] = {}
    pending: tuple[Pending, ...] = ()
    by: By | None = None
    leading: tuple[Leading, ...] | UnsetType = UNSET


def announcement(pipeline: Pipeline, maker: By | None = None, leading: tuple[Leading, ...] = ()) -> Announcement:
    """What is told of a pipeline, and who changed it."""
    return Announcement(
        pipeline.id, pipeline.slug, pipeline.name, pipeline.version, pipeline.title,
        pipeline.deleted_at is not None, pipeline.fields, pipeline.rules, pipeline.require_if_match,
        pipeline.claims, pipeline.pending, maker, leading or UNSET,
    )  # fmt: skip


def check_version(present: int, expected: Collection[int] | None) -> None:
    """Whether the version that is there is one that the caller knows."""
    if expected is not None and present not in expected:
        raise StaleVersion(f"The version is {present} by now", extra={"version": present})


def check_count(present: int) -> None:
    """Whether one more pipeline may be made."""
    if present >= MAX_PIPELINES:
        raise Conflict(f"There are {MAX_PIPELINES} pipelines, which is as many as there may be", code="too-many")


def free_slug(wanted: str, taken: Collection[str]) -> str:
    """The slug, with a number behind it where it is taken."""
    candidates = (f"{wanted}-{number}" for number in range(2, len(taken) + 3))
    return wanted if wanted not in taken else next(slug for slug in candidates if slug not in taken)
