from typing import Any

from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, UnsetType
from msgspec.structs import asdict

from libs.common.app import Platform
from libs.common.http import Input
from libs.common.ids import new_id, parse_id
from libs.common.pages import Page
from services.pipelines.domain.caller import Caller
from services.pipelines.domain.rules import Effect, Names, Rule, Title
from services.pipelines.routes.conditions import etag, versions
from services.pipelines.routes.dependencies import CALLER, IfMatch
from services.pipelines.usecases import pipelines, rules


class CreateRule(Input, kw_only=True):
    """While `when` holds on a record, the fields are shown, hidden or required."""

    name: Title | None = None
    effect: Effect
    when: dict[str, Any]
    fields: Names


class PatchRule(Input, kw_only=True):
    """What shall change of a rule."""

    name: Title | UnsetType | None = UNSET
    effect: Effect | UnsetType = UNSET
    when: dict[str, Any] | UnsetType = UNSET
    fields: Names | UnsetType = UNSET


class RuleRoutes(Controller):
    """The conditional rules of a pipeline; their `ETag` is the pipeline's."""

    path = "/pipelines/{pipeline_id:str}/rules"
    tags = ("rules",)
    dependencies = CALLER

    @get()
    async def page(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], pipeline_id: FromPath[str]
    ) -> Response[Page[Rule]]:
        """List all rules, in order."""
        pipeline = await pipelines.get(platform.database, caller, parse_id(pipeline_id))
        return Response(Page(list(pipeline.rules), None), headers=etag(pipeline.version))

    @post()
    async def add(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], pipeline_id: FromPath[str],
        data: JSONBody[CreateRule], if_match: IfMatch = None,
    ) -> Response[Rule]:  # fmt: skip
        """Add a rule; records are held to it from now on."""
        rule = Rule(id=new_id(), **asdict(data))
        pipeline = await rules.add(platform.database, caller, parse_id(pipeline_id), rule, versions(if_match))
        return Response(rule, headers=etag(pipeline.version))

    @patch("/{rule_id:str}")
    async def change(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], pipeline_id: FromPath[str],
        rule_id: FromPath[str], data: JSONBody[PatchRule], if_match: IfMatch = None,
    ) -> Response[Rule]:  # fmt: skip
        """Change a rule."""
        given = {name: value for name, value in asdict(data).items() if value is not UNSET}
        found = parse_id(rule_id)
        pipeline = await rules.change(
            platform.database, caller, parse_id(pipeline_id), found, given, versions(if_match)
        )
        return Response(rules.named(pipeline, found), headers=etag(pipeline.version))

    @delete("/{rule_id:str}")
    async def remove(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], pipeline_id: FromPath[str],
        rule_id: FromPath[str], if_match: IfMatch = None,
    ) -> None:  # fmt: skip
        """Take a rule away."""
        await rules.remove(platform.database, caller, parse_id(pipeline_id), parse_id(rule_id), versions(if_match))
