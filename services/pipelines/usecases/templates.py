"""Applies a template: all of it in one transaction, and what is there already by its name stays as it is."""

from uuid import UUID

import msgspec
from msgspec.structs import replace

from libs.common import clock
from libs.common.errors import Invalid, NotFound
from libs.common.ids import new_id
from libs.common.postgres import Connection, Database
from services.pipelines.domain.caller import Caller
from services.pipelines.domain.pipelines import Pipeline
from services.pipelines.domain.rules import Rule, rules_faults
from services.pipelines.domain.templates import Blueprint, PipelineBlueprint, ViewBlueprint, blueprints
from services.pipelines.domain.views import View
from services.pipelines.storage import pipelines as storage
from services.pipelines.storage import relationship_types as types
from services.pipelines.usecases import pipelines, relationship_types, views
from services.pipelines.usecases.pipelines import NewPipeline
from services.pipelines.usecases.relationship_types import NewType


class AppliedPipeline(msgspec.Struct, frozen=True):
    """A pipeline of a template; one that was there before is not `created`, and is as it was."""

    slug: str
    id: UUID
    created: bool


class AppliedType(msgspec.Struct, frozen=True):
    """A type of relationship of a template."""

    name: str
    id: UUID
    created: bool


class Applied(msgspec.Struct, frozen=True):
    """What became of a template."""

    slug: str
    pipelines: list[AppliedPipeline]
    relationship_types: list[AppliedType]


def find(slug: str) -> Blueprint:
    """A template by its slug."""
    found = blueprints().get(slug)
    if found is None:
        raise NotFound("There is no such template")
    return found


async def apply(database: Database, caller: Caller, slug: str) -> Applied:
    """Makes what a template has and the tenant has not; it takes the rights to make pipelines and manage types."""
    blueprint = find(slug)
    caller.require_any("create")
    async with database.tenant(caller.tenant) as connection:
        await storage.lock_creation(connection, caller.tenant)
        ids = await storage.by_slugs(connection, caller.tenant, [it.slug for it in blueprint.pipelines])
        made: list[AppliedPipeline] = []
        for it in blueprint.pipelines:
            created = it.slug not in ids
            if created:
                ids[it.slug] = (await _make(connection, caller, it, ids)).id
            made.append(AppliedPipeline(it.slug, ids[it.slug], created))
        return Applied(slug, made, await _types(connection, caller, blueprint, ids))


async def _make(connection: Connection, caller: Caller, it: PipelineBlueprint, ids: dict[str, UUID]) -> Pipeline:
    new = NewPipeline(
        name=it.name,
        slug=it.slug,
        icon=it.icon,
        color=it.color,
        title_template=it.title_template,
        fields=it.placed(ids),
    )
    pipeline = await pipelines.make(connection, caller, new)
    for view in it.views:
        await views.make(connection, caller, pipeline, _view(caller, pipeline, view))
    rules = tuple(Rule(id=new_id(), name=r.name, effect=r.effect, when=r.when, fields=r.fields) for r in it.rules)
    if faults := list(rules_faults(rules, pipeline.fields)):
        raise Invalid("The rules are not valid", errors=faults)
    return await pipelines.write(connection, caller, "updated", replace(pipeline, rules=rules)) if rules else pipeline


def _view(caller: Caller, pipeline: Pipeline, it: ViewBlueprint) -> View:
    now = clock.now()
    return View(
        id=new_id(), pipeline_id=pipeline.id, version=1, visibility="shared", owner_id=caller.id, created_at=now,
        updated_at=now, updated_by=caller.id, **msgspec.structs.asdict(it),
    )  # fmt: skip


async def _types(
    connection: Connection, caller: Caller, blueprint: Blueprint, ids: dict[str, UUID]
) -> list[AppliedType]:
    found: list[AppliedType] = []
    for it in blueprint.relationship_types:
        known = await types.find(connection, caller.tenant, it.name)
        if known is None:
            new = NewType(
                name=it.name, inverse_name=it.inverse_name, source_pipeline=ids[it.source],
                target_pipeline=ids[it.target], cardinality=it.cardinality, on_delete=it.on_delete,
            )  # fmt: skip
            kind = await relationship_types.make(connection, caller, new)
        found.append(AppliedType(it.name, (known or kind).id, known is None))
    return found
