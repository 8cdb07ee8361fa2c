"""Views: a way to look at a pipeline's records that is kept, and run by the server."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

import msgspec
from msgspec.structs import replace

from libs.common.errors import Fault, Forbidden, Invalid, NotFound
from libs.common.filters import parse_sort
from libs.common.filters.renaming import renamed_condition, renamed_path
from services.pipelines.domain.caller import Caller
from services.pipelines.domain.fields import (
    BooleanField,
    DateField,
    DatetimeField,
    RelationField,
    SelectField,
    StageField,
    UserField,
)
from services.pipelines.domain.pipelines import Pipeline
from services.pipelines.domain.questions import parsed, schema

MAX_VIEWS = 500
TIMES = ("created_at", "updated_at")

Kind: TypeAlias = Literal["table", "kanban", "calendar"]
Visibility: TypeAlias = Literal["private", "shared"]
Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Sort: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=400)]
Names: TypeAlias = Annotated[list[str], msgspec.Meta(max_length=200)]


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A view. A private one exists for its owner alone.

    `filter` is a filter tree and `sort` an order as lists take them; without `fields` all are shown. A kanban is
    grouped by a field of few values, a calendar goes by a date.
    """

    id: UUID
    pipeline_id: UUID
    version: int
    name: str
    kind: Kind
    visibility: Visibility
    owner_id: UUID
    filter: dict[str, Any] | None = None
    sort: str | None = None
    fields: list[str] | None = None
    group_by: str | None = None
    date_field: str | None = None
    created_at: datetime
    updated_at: datetime
    updated_by: UUID


class ViewAnnouncement(msgspec.Struct, frozen=True):
    """A view as events and other services have it."""

    id: UUID
    name: str
    pipeline_id: UUID
    version: int
    visibility: Visibility
    owner_id: UUID
    filter: dict[str, Any] | None
    sort: str | None
    fields: list[str] | None
    group_by: str | None
    date_field: str | None
    deleted: bool = False


def announcement(view: View, *, deleted: bool = False) -> ViewAnnouncement:
    """What is told of a view."""
    return ViewAnnouncement(
        view.id, view.name, view.pipeline_id, view.version, view.visibility, view.owner_id, view.filter, view.sort,
        view.fields, view.group_by, view.date_field, deleted,
    )  # fmt: skip


def seen(view: View | None, caller: Caller, pipeline_id: UUID) -> View:
    """A view that exists for the caller, or `NotFound`."""
    if view is None or view.pipeline_id != pipeline_id:
        raise NotFound("There is no such view")
    if view.visibility == "private" and view.owner_id != caller.id:
        raise NotFound("There is no such view")
    return view


def check_change(view: View, caller: Caller) -> None:
    """`Forbidden` unless the caller may change it: their own private one, or with the pipeline a shared one."""
    if view.visibility == "shared" and not caller.permissions.allow("update", "pipelines", view.pipeline_id):
        raise Forbidden("Shared views are changed by those who may change the pipeline")


def check_fit(view: View, pipeline: Pipeline) -> None:
    """`Invalid` with everything in the view that does not fit the pipeline."""
    if faults := list(_faults(view, pipeline)):
        raise Invalid("The view is not valid", errors=faults)


def _faults(view: View, pipeline: Pipeline) -> Iterator[Fault]:
    known = schema(pipeline.fields)
    if view.filter is not None:
        yield from parsed(view.filter, known, "/filter")[1]
    try:
        parse_sort(view.sort, known)
    except Invalid as error:
        yield from error.errors
    for index, name in enumerate(view.fields or ()):
        if pipeline.place(name) is None:
            yield Fault(f"/fields/{index}", "unknown_name", f"There is no field '{name}'")
    yield from _group_faults(view, pipeline)
    yield from _date_faults(view, pipeline)


def _group_faults(view: View, pipeline: Pipeline) -> Iterator[Fault]:
    if view.group_by is None:
        if view.kind == "kanban":
            yield Fault("/group_by", "required", "A kanban is grouped by a field")
        return
    place = pipeline.place(view.group_by)
    field = None if place is None else pipeline.fields[place]
    if field is None:
        yield Fault("/group_by", "unknown_name", f"There is no field '{view.group_by}'")
        return
    single = type(field) in (BooleanField, SelectField, StageField)
    single = single or (isinstance(field, UserField) and not field.multiple)
    if not single and not (isinstance(field, RelationField) and field.cardinality in ("many_to_one", "one_to_one")):
        yield Fault("/group_by", "not_groupable", "Records are grouped by one choice, one user or one record")


def _date_faults(view: View, pipeline: Pipeline) -> Iterator[Fault]:
    if view.date_field is None:
        if view.kind == "calendar":
            yield Fault("/date_field", "required", "A calendar goes by a date")
    elif view.date_field not in TIMES:
        place = pipeline.place(view.date_field)
        if place is None:
            yield Fault("/date_field", "unknown_name", f"There is no field '{view.date_field}'")
        elif not isinstance(pipeline.fields[place], DateField | DatetimeField):
            yield Fault("/date_field", "not_a_date", "A date or a time is expected")


def renamed(view: View, renames: Mapping[str, str]) -> View:
    """The view with fields by their new names."""
    keys = None if view.sort is None else (key.strip() for key in view.sort.split(","))
    found: Any = renamed_condition(view.filter, renames)
    return replace(
        view,
        filter=found,
        sort=None if keys is None else ",".join(_key(key, renames) for key in keys),
        fields=None if view.fields is None else [renames.get(name, name) for name in view.fields],
        group_by=None if view.group_by is None else _key(view.group_by, renames),
        date_field=None if view.date_field is None else _key(view.date_field, renames),
    )


def _key(key: str, renames: Mapping[str, str]) -> str:
    path = key.removeprefix("-")
    return f"{key[: len(key) - len(path)]}{renamed_path(path, renames)}"
