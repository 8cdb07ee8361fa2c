"""Plans of definitions, their past versions, and fields that were removed."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from libs.common.errors import Conflict, Fault
from services.pipelines.domain.definitions import Fields
from services.pipelines.domain.evolution import Change, Kind, Pending, Step, differences
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


class FieldDifference(msgspec.Struct, frozen=True):
    """A field of two definitions: what kinds of change made it what it is, by its name in the later one."""

    field: str
    kinds: list[Kind]
    before: AnyField | None
    after: AnyField | None


class Differing(msgspec.Struct, frozen=True):
    """Something of a definition besides its fields that was another before."""

    name: str
    before: Any
    after: Any


class Difference(msgspec.Struct, frozen=True):
    """What is different in a definition from what it was in version `since`."""

    since: int
    fields: list[FieldDifference]
    others: list[Differing]


def between(old: Version, new: Version, asked: Iterable[Pending]) -> Difference:
    """What makes one definition of another; `asked` is what the versions after the older one asked of records."""
    called = {field.name: field.name for field in old.fields}
    for it in asked:
        if it.version <= new.version:
            called = {then: it.renames.get(now, now) for then, now in called.items()}
    there = {field.name for field in new.fields}
    renames = {then: now for then, now in called.items() if then != now and now in there}
    known, kinds = {field.name: field for field in old.fields}, dict[tuple[str, bool], list[Change]]()
    for change in differences(old.fields, Step(fields=new.fields, renames=renames)):
        kinds.setdefault((change.field, change.after is None), []).append(change)
    fields = [_difference(name, changes, known) for (name, _), changes in kinds.items()]
    others = [
        Differing(name, getattr(old, name), getattr(new, name))
        for name in ("name", "slug", "description", "title_template", "rules", "deleted")
        if getattr(old, name) != getattr(new, name)
    ]
    return Difference(old.version, fields, others)


def _difference(name: str, changes: list[Change], known: Mapping[str, AnyField]) -> FieldDifference:
    kinds = [change.kind for change in changes]
    fresh = kinds[0] in ("field_added", "field_restored")
    return FieldDifference(name, kinds, None if fresh else known[changes[0].name], changes[0].after)


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
