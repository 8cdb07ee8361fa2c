from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec.structs import asdict

from libs.common import pages
from libs.common.app import Platform
from libs.common.ids import parse_id
from services.pipelines.domain.caller import Caller
from services.pipelines.routes.conditions import etag, unchanged, versions
from services.pipelines.routes.dependencies import CALLER, IfMatch, IfNoneMatch
from services.pipelines.routes.lists import Count, page
from services.pipelines.routes.shapes import CreateType, PatchType, TypeOutput, type_output
from services.pipelines.usecases import relationship_types


class RelationshipTypeRoutes(Controller):
    """Types of relationships."""

    path = "/relationship-types"
    tags = ("relationship types",)
    dependencies = CALLER

    @post()
    async def create(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], data: JSONBody[CreateType]
    ) -> Response[TypeOutput]:
        """Make a type of relationship."""
        kind = await relationship_types.create(platform.database, caller, relationship_types.NewType(**asdict(data)))
        location = {"Location": f"/api/v1/relationship-types/{kind.id}"}
        return Response(type_output(kind), headers={**etag(kind.version), **location})

    @get()
    async def page(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller],
        limit: FromQuery[int] = pages.DEFAULT_LIMIT, cursor: FromQuery[str | None] = None,
        count: FromQuery[Count] = "none",
    ) -> pages.Page[TypeOutput]:  # fmt: skip
        """List the types of relationships."""
        after = pages.after_id(cursor)
        rows, number = await relationship_types.page(
            platform.database, caller, after, pages.check_limit(limit) + 1, count=count != "none"
        )
        return page(rows, limit, lambda row: row.id, type_output, number)

    @get("/{type_id:str}")
    async def read(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], type_id: FromPath[str],
        if_none_match: IfNoneMatch = None,
    ) -> Response[TypeOutput | None]:  # fmt: skip
        """Read a type of relationship."""
        kind = await relationship_types.get(platform.database, caller, parse_id(type_id))
        if unchanged(if_none_match, kind.version):
            return Response(None, status_code=304, headers=etag(kind.version))
        return Response(type_output(kind), headers=etag(kind.version))

    @patch("/{type_id:str}")
    async def change(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], type_id: FromPath[str],
        data: JSONBody[PatchType], if_match: IfMatch = None,
    ) -> Response[TypeOutput]:  # fmt: skip
        """Change a type of relationship, as far as the relationships that are there still fit."""
        changes = relationship_types.Changes(**asdict(data))
        kind = await relationship_types.change(
            platform.database, caller, parse_id(type_id), changes, versions(if_match)
        )
        return Response(type_output(kind), headers=etag(kind.version))

    @delete("/{type_id:str}")
    async def delete(
        self, platform: NamedDependency[Platform], caller: NamedDependency[Caller], type_id: FromPath[str],
        if_match: IfMatch = None,
    ) -> None:  # fmt: skip
        """Take a type of relationship away that no field uses."""
        await relationship_types.delete(platform.database, caller, parse_id(type_id), versions(if_match))
