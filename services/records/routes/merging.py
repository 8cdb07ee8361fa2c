"""Records that look alike, and making one of them."""

from uuid import UUID

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from libs.common import pages
from libs.common.app import Platform
from libs.common.http import Input
from libs.common.ids import parse_id
from libs.common.pages import Page
from services.records.routes.records import CALLER
from services.records.usecases import merge
from services.records.usecases.caller import Caller
from services.records.usecases.duplicates import Group, duplicates
from services.records.usecases.merge import Merged


class MergeInput(Input):
    """Which records become one; `fields` names for a field the record whose value it shall have."""

    target: UUID
    sources: list[UUID]
    fields: dict[str, UUID] = msgspec.field(default_factory=dict)


class DuplicatesController(Controller):
    """Records that look alike."""

    path = "/pipelines/{pipeline_id:str}/duplicates"
    tags = ("Duplicates",)
    dependencies = CALLER

    @get(operation_id="ListDuplicates")
    async def list_duplicates(
        self,
        caller: NamedDependency[Caller],
        platform: NamedDependency[Platform],
        pipeline_id: FromPath[str],
        by: FromQuery[str | None] = None,
        limit: FromQuery[int] = pages.DEFAULT_LIMIT,
        cursor: FromQuery[str | None] = None,
    ) -> Response[Page[Group]]:
        """Groups of records that share a title, an address of mail or a telephone number, whatever their case, accents
        and punctuation; `by` is `title` or a field. A page may be short although there is a next one.
        """
        position = str(caller.position(platform.bus))
        found, following = await duplicates(caller, parse_id(pipeline_id), by, pages.check_limit(limit), cursor)
        return Response(Page(found, following), headers={"change-seq": position})


class MergeController(Controller):
    """Making one record of several."""

    path = "/records"
    tags = ("Duplicates",)
    dependencies = CALLER

    @post("/merge", status_code=200, operation_id="MergeRecords")
    async def merge_records(self, caller: NamedDependency[Caller], data: JSONBody[MergeInput]) -> Merged:
        """Merge records of one pipeline into another: what the target lacks it takes over, relationships move, and the
        sources go into the trash. History stays with each record.
        """
        return await merge.merge(caller, data.target, data.sources, data.fields)

    @post("/merges/{merge_id:str}/undo", status_code=200, operation_id="UndoMerge")
    async def undo_merge(self, caller: NamedDependency[Caller], merge_id: FromPath[str]) -> Merged:
        """Part records that were merged, as they were; 409 with the reasons where something later is in the way."""
        return await merge.undo(caller, parse_id(merge_id))
