"""Make a record."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from uuid import UUID

import msgspec

from libs.common.errors import AppError, Fault, Invalid, NotFound
from services.records.domain.definitions import RelationshipType
from services.records.domain.operations import Create, Link, Outcome, Upsert
from services.records.domain.reach import Reach
from services.records.domain.records import Record
from services.records.domain.values import Wrong
from services.records.usecases.caller import Caller
from services.records.usecases.writing import Writer


class LinkRequest(msgspec.Struct, frozen=True):
    """A relationship asked for: a record, the name of a type or of its inverse, and attributes as JSON text, or what is
    wrong with them.
    """

    target_pipeline: UUID
    target_record: UUID
    relationship_type: str
    attributes: str | Wrong | None = None


async def create(
    caller: Caller, pipeline_id: UUID, data: Mapping[str, object], wanted: Sequence[LinkRequest]
) -> tuple[Record | str, Outcome]:
    """The new record as its maker may see it, and what was done."""

    async def work(reach: Reach) -> tuple[Record | str, Outcome]:
        reach.require("create")
        found = await links(caller, pipeline_id, wanted)
        async with caller.database.tenant(caller.tenant_id) as connection:
            writer = Writer(caller, reach, connection)
            outcome = await writer.one(Create(data, found))
            assert outcome.record is not None
            return await writer.shown(outcome.record), outcome

    return await caller.settled(pipeline_id, work)


async def upsert(
    caller: Caller, pipeline_id: UUID, by: str, value: str, data: Mapping[str, object], version: int | None = None
) -> tuple[Record | str, Outcome]:
    """The record that has the value in a unique field, merged with the data; made where there is none."""

    async def work(reach: Reach) -> tuple[Record | str, Outcome]:
        given = {by: _typed(reach, by, value), **data}
        if _is_key(reach, by) and str(given[by]).lower() != value.lower():
            raise Invalid(errors=[Fault(f"/data/{by}", "mismatch", "The body names another value than the address")])
        async with caller.database.tenant(caller.tenant_id) as connection:
            writer = Writer(caller, reach, connection)
            outcome = await writer.one(Upsert(by, given, version))
            assert outcome.record is not None
            return await writer.shown(outcome.record), outcome

    return await caller.settled(pipeline_id, work)


def _is_key(reach: Reach, name: str) -> bool:
    field = reach.pipeline.fields.get(name)
    return field is not None and field.unique and reach.access("read").names(name)


def _typed(reach: Reach, name: str, text: str) -> object:
    field = reach.pipeline.fields.get(name)
    if field is None or field.type != "number":
        return text
    try:
        number = float(text)
        return int(text) if number.is_integer() and text.lstrip("-").isdigit() else number
    except (ValueError, OverflowError):
        return text


async def links(
    caller: Caller, pipeline_id: UUID, wanted: Sequence[LinkRequest], pointer: str = "/relationships"
) -> tuple[Link, ...]:
    """The relationships asked for, with their types; a type that does not exist is made where the caller may.

    Without a pointer there is one, which is the body.
    """
    found: list[Link] = []
    faults: list[Fault] = []
    for index, link in enumerate(wanted):
        place = f"{pointer}/{index}" if pointer else ""
        try:
            kind = await _type(caller, pipeline_id, link)
        except Invalid as error:
            faults += [Fault(f"{place}/relationship_type", it.code, it.detail) for it in error.errors]
            continue
        if kind is None:
            faults.append(Fault(f"{place}/target_pipeline", "not_found", "There is no such pipeline"))
            continue
        if not _joins(kind, pipeline_id, link):
            kind = await _present_type(caller, pipeline_id, link, kind)
        if not _joins(kind, pipeline_id, link):
            detail = f"'{link.relationship_type}' does not join these pipelines"
            faults.append(Fault(f"{place}/relationship_type", "wrong_pipelines", detail))
        inverse = kind.name != link.relationship_type
        if isinstance(link.attributes, Wrong):
            faults += link.attributes.faults(f"{place}/attributes")
        else:
            found.append(Link(kind, inverse, link.target_record, link.target_pipeline, link.attributes))
    if faults:
        raise Invalid(errors=faults)
    return tuple(found)


async def _type(caller: Caller, pipeline_id: UUID, link: LinkRequest) -> RelationshipType | None:
    try:
        await caller.reach(link.target_pipeline)
    except NotFound:
        return None
    name, target = link.relationship_type, link.target_pipeline
    return await caller.catalog.relationship_type(caller.principal, name, pipeline_id, target)


async def _present_type(
    caller: Caller, pipeline_id: UUID, link: LinkRequest, known: RelationshipType
) -> RelationshipType:
    """The type as it is now; as it is known, where pipelines does not say or would not let it join these."""
    name, target = link.relationship_type, link.target_pipeline
    if caller.met.first((name, pipeline_id, target)):
        with suppress(AppError):
            return await caller.catalog.asked_type(caller.principal, name, pipeline_id, target)
    return known


def _joins(kind: RelationshipType, pipeline_id: UUID, link: LinkRequest) -> bool:
    inverse = kind.name != link.relationship_type
    source, target = (link.target_pipeline, pipeline_id) if inverse else (pipeline_id, link.target_pipeline)
    return kind.source_pipeline in (None, source) and kind.target_pipeline in (None, target)
