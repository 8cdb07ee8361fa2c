"""Plans of definitions, their past versions, and fields that were removed."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from libs.common.errors import Conflict, Fault
from services.pipelines.domain.definitions import Fields
from services.pipelines.domain.evolution import Step
from services.pipelines.domain.fields import AnyField
from services.pipelines.domain.rules import Rule

PLAN_SECONDS = 3600


class Sample(msgspec.Struct, frozen=True):
    """A record that would not fit, with what it has now, as far as it may be seen."""

    record_id: UUID
    title: str
    value: Any
    detail: str


class PlannedChange(msgspec.Struct, frozen=True):
    """One difference, and what it would do to records; `estimated` where not all of them were looked at. Numbers are
    null where who plans may not read the field in every record.
    """

    field: str
    kind: str
    records_affected: int | None
    records_failing: int | None
    samples: list[Sample]
    treatment: str
    estimated: bool = False


class Plan(msgspec.Struct, frozen=True):
    """The way from the definition of a version to another, and what it would do."""

    id: UUID
    version: int
    step: Step
    changes: list[PlannedChange]
    expires_at: datetime


class Trashed(msgspec.Struct, frozen=True):
    """A removed field; records keep what it held under `key`. `version` is that of the definition without it."""

    key: str
    field: AnyField
    version: int
    removed_at: datetime
    removed_by: UUID


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A definition as it was."""

    version: int
    name: str
    slug: str
    description: str | None = None
    title_template: str | None = None
    fields: Fields
    rules: tuple[Rule, ...] = ()
    deleted: bool = False
    changed_at: datetime
    changed_by: UUID


def check_fit(changes: list[PlannedChange]) -> None:
    """`Conflict` names the changes that some records do not fit, or may not fit for all that who asks may know."""
    failing = [change for change in changes if change.records_failing != 0]
    if failing:
        counts = ["some" if c.records_failing is None else c.records_failing for c in failing]
        faults = [
            Fault(f"/{c.field}", c.kind, f"{n} records: {c.treatment}") for c, n in zip(failing, counts, strict=True)
        ]
        detail = "Some records would not fit; with 'force' they are treated as the plan says"
        raise Conflict(detail, code="records-would-not-fit", errors=faults)
