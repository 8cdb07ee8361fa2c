"""Relationships of records, their history, and the ways between them."""

from uuid import UUID

import msgspec
from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.response.base import ASGIResponse

from libs.common import pages
from libs.common.app import Platform
from libs.common.errors import Fault, Invalid
from libs.common.ids import NIL, parse_id
from libs.common.pages import Count, Page
from services.records.domain.paths import parse_steps
from services.records.domain.records import Edge
from services.records.routes.answers import answer, answers, page_answer
from services.records.routes.records import CALLER
from services.records.routes.shapes import (
    HistoryPage,
    Path,
    ReachedPage,
    Relationship,
    RelationshipInput,
    RelationshipPatch,
)
from services.records.usecases import history
from services.records.usecases.caller import Caller
from services.records.usecases.relate import count_relationships, describe, relate, relationships, unrelate
from services.records.usecases.shortest import shortest_path
from services.records.usecases.traverse import traverse


class RelationshipsController(Controller):
    """What a record is related to, and what became of it."""

    path = "/pipelines/{pipeline_id:str}/records/{record_id:str}"
    tags = ("Relationships",)
    dependencies = CALLER

    @get("/relationships", operation_id="ListRelationships")
    async def list_relationships(
        self,
        caller: NamedDependency[Caller],
        platform: NamedDependency[Platform],
        pipeline_id: FromPath[str],
        record_id: FromPath[str],
        relationship_type: FromQuery[str | None] = None,
        limit: FromQuery[int] = 50,
        cursor: FromQuery[str | None] = None,
        count: FromQuery[Count] = "none",
    ) -> Response[Page[Relationship]]:
        """The relationships of a record, in both directions. `count` is of the first hundred thousand of them."""
        position = str(caller.position(platform.bus))
        pages.check_limit(limit)
        after, ids = pages.after_id(cursor), (parse_id(pipeline_id), parse_id(record_id))
        found = await relationships(caller, *ids, after, relationship_type, limit)
        page = pages.by_id(found, limit, lambda edge: edge.id, Relationship.of)
        if count != "none":
            page.count = await count_relationships(caller, *ids, relationship_type)
        return Response(page, headers={"change-seq": position})

    @post("/relationships", operation_id="CreateRelationship")
    async def create_relationship(
        self,
        caller: NamedDependency[Caller],
        pipeline_id: FromPath[str],
        record_id: FromPath[str],
        data: JSONBody[RelationshipInput],
    ) -> Relationship:
        """Relate a record to another one."""
        edge = await relate(caller, parse_id(pipeline_id), parse_id(record_id), data.request())
        return Relationship.of(edge)

    @patch("/relationships/{relationship_id:str}", operation_id="PatchRelationship")
    async def patch_relationship(
        self,
        caller: NamedDependency[Caller],
        pipeline_id: FromPath[str],
        record_id: FromPath[str],
        relationship_id: FromPath[str],
        data: JSONBody[RelationshipPatch],
    ) -> Relationship:
        """Say something else of a relationship: its attributes are merged with those given."""
        ids = parse_id(pipeline_id), parse_id(record_id), parse_id(relationship_id)
        return Relationship.of(await describe(caller, *ids, data.attributes))

    @delete("/relationships/{relationship_id:str}", operation_id="DeleteRelationship")
    async def delete_relationship(
        self,
        caller: NamedDependency[Caller],
        pipeline_id: FromPath[str],
        record_id: FromPath[str],
        relationship_id: FromPath[str],
    ) -> None:
        """Part two records; a relation field that held the other lets it go."""
        await unrelate(caller, parse_id(pipeline_id), parse_id(record_id), parse_id(relationship_id))

    @get("/history", tags=("Records",), operation_id="ListHistory")
    async def list_history(
        self,
        caller: NamedDependency[Caller],
        platform: NamedDependency[Platform],
        pipeline_id: FromPath[str],
        record_id: FromPath[str],
        limit: FromQuery[int] = 50,
        cursor: FromQuery[str | None] = None,
        actor: FromQuery[UUID | None] = None,
        field: FromQuery[str | None] = None,
        count: FromQuery[Count] = "none",
    ) -> Response[HistoryPage]:
        """Who changed what, when and from which client, newest first; of one `actor` or of one `field` if named."""
        position = str(caller.position(platform.bus))
        pages.check_limit(limit)
        asked = history.Question(
            before=history.parse_cursor(cursor), limit=limit, actor=actor, field=field, counted=count != "none"
        )
        found = await history.history(caller, parse_id(pipeline_id), parse_id(record_id), asked)
        page = HistoryPage(found.entries, None if found.following is None else str(found.following), found.count)
        return Response(page, headers={"change-seq": position})


class WaysController(Controller):
    """The ways between records of all pipelines."""

    path = "/records/{record_id:str}"
    tags = ("Relationships",)
    dependencies = CALLER

    @get("/traverse", responses=answers(ReachedPage), operation_id="Traverse")
    async def get_traversal(
        self,
        caller: NamedDependency[Caller],
        platform: NamedDependency[Platform],
        record_id: FromPath[str],
        path: FromQuery[str | None] = None,
        direction: FromQuery[str] = "both",
        max_depth: FromQuery[int | None] = None,
        limit: FromQuery[int] = 50,
        cursor: FromQuery[str | None] = None,
        count: FromQuery[Count] = "none",
    ) -> ASGIResponse:
        """The records at the end of a path of relationship types; without one all within `max_depth` steps."""
        position = caller.position(platform.bus)
        pages.check_limit(limit)
        steps = parse_steps(path, direction, max_depth)
        after = parse_after(cursor)
        found = await traverse(caller, parse_id(record_id), steps, ends_only=bool(path), after=after, limit=limit)
        following = None if found.last is None else found.last.hex
        counted = None if count == "none" else found.count
        return page_answer(found.bodies, following, counted, {"change-seq": str(position)})

    @get("/shortest-path/{other_id:str}", responses=answers(Path), operation_id="ShortestPath")
    async def get_shortest_path(
        self,
        caller: NamedDependency[Caller],
        platform: NamedDependency[Platform],
        record_id: FromPath[str],
        other_id: FromPath[str],
    ) -> ASGIResponse:
        """The shortest way to another record, by relationships of any type, of at most six steps."""
        position = caller.position(platform.bus)
        way = await shortest_path(caller, parse_id(record_id), parse_id(other_id))
        bodies, edges = (way.bodies, way.relationships) if way else ([], [])
        length = len(edges) if way else "null"
        body = f'{{"length":{length},"records":[{",".join(bodies)}],"relationships":{_shown(edges)}}}'
        return answer(body, 200, {"change-seq": str(position)})


def parse_after(cursor: str | None) -> UUID:
    """The record that a page of a walk comes after."""
    if cursor is None:
        return NIL
    try:
        return UUID(hex=cursor)
    except ValueError:
        raise Invalid(errors=[Fault("/cursor", "invalid_cursor", "The cursor is not one of this list")]) from None


def _shown(edges: list[Edge]) -> str:
    return msgspec.json.encode([Relationship.of(edge) for edge in edges]).decode()
