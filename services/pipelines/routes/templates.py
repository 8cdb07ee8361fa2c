"""Templates of pipelines."""

from typing import Any

import msgspec
from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from libs.common.app import Platform
from libs.common.pages import Page
from services.pipelines.domain.caller import Caller
from services.pipelines.domain.templates import Blueprint, blueprints
from services.pipelines.routes.dependencies import CALLER
from services.pipelines.usecases import templates
from services.pipelines.usecases.templates import Applied


class TemplateSummary(msgspec.Struct):
    """A template, and what its pipelines are called."""

    slug: str
    name: str
    description: str
    pipelines: list[str]


class TemplateOutput(msgspec.Struct):
    """A template in full; relations name their targets by slug."""

    slug: str
    name: str
    description: str
    pipelines: list[dict[str, Any]]
    relationship_types: list[dict[str, Any]]


class TemplateRoutes(Controller):
    """Pipelines for common trades, to begin with."""

    path = "/pipeline-templates"
    tags = ("templates",)
    dependencies = CALLER

    @get()
    async def page(self, caller: NamedDependency[Caller]) -> Page[TemplateSummary]:
        """List all templates."""
        return Page([_summary(it) for it in blueprints().values()], None)

    @get("/{slug:str}")
    async def read(self, caller: NamedDependency[Caller], slug: FromPath[str]) -> TemplateOutput:
        """Read a template."""
        return msgspec.convert(msgspec.to_builtins(templates.find(slug)), TemplateOutput)

    @post("/{slug:str}/apply", status_code=200)
    async def apply(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], slug: FromPath[str]
    ) -> Applied:
        """Make what the template has and you have not: pipelines by their slugs, with views and rules, and types of
        relationships by their names. Applied again it changes nothing.
        """
        return await templates.apply(platform.database, caller, slug)


def _summary(it: Blueprint) -> TemplateSummary:
    return TemplateSummary(it.slug, it.name, it.description, [pipeline.name for pipeline in it.pipelines])
