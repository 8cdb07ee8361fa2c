"""Records of a pipeline."""

from typing import Annotated, Any, TypeAlias
from uuid import UUID

import msgspec
from litestar import Controller, Request, delete, get, patch, post, put
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody
from litestar.response.base import ASGIResponse

from libs.common.app import Platform
from libs.common.errors import Fault, Invalid
from libs.common.identity import Principal
from libs.common.ids import parse_id
from libs.common.permissions import Permissions
from services.records.domain.json_patch import MAX_STEPS, Step
from services.records.domain.operations import Update
from services.records.domain.records import Record
from services.records.routes.answers import (
    answer,
    answers,
    lock_tokens,
    made_answer,
    not_modified,
    page_answer,
    record_answer,
    tagged_version,
)
from services.records.routes.shapes import (
    DataInput,
    GroupList,
    IncrementInput,
    MadeRecord,
    RecordInput,
    RecordPage,
    RevertInput,
)
from services.records.usecases import past, read, trash
from services.records.usecases.aggregate import aggregate
from services.records.usecases.caller import Caller
from services.records.usecases.catalog import Catalog
from services.records.usecases.create import create, upsert
from services.records.usecases.increment import increment
from services.records.usecases.read import ListRequest
from services.records.usecases.update import update


def provide_caller(
    principal: NamedDependency[Principal],
    permissions: NamedDependency[Permissions],
    catalog: NamedDependency[Catalog],
    platform: NamedDependency[Platform],
) -> Caller:
    """Who asks."""
    return Caller(principal, permissions, catalog, platform.database)


IfMatch: TypeAlias = Annotated[str | None, HeaderParameter(name="If-Match")]
LockToken: TypeAlias = Annotated[str | None, HeaderParameter(name="X-Lock-Token")]
IfNoneMatch: TypeAlias = Annotated[str | None, HeaderParameter(name="If-None-Match")]
FILTERED = {"filtered": True}
CALLER = {"caller": Provide(provide_caller, sync_to_thread=False)}


def _patch(record_id: UUID, data: DataInput | list[Step], version: int | None, tokens: tuple[int, ...]) -> Update:
    if isinstance(data, DataInput):
        return Update(record_id, data.data, version, tokens=tokens)
    if len(data) > MAX_STEPS:
        raise Invalid(errors=[Fault("", "too_many", f"At most {MAX_STEPS} steps are taken")])
    return Update(record_id, {}, version, steps=tuple(data), tokens=tokens)


def _location(record: Record) -> str:
    return f"/api/v1/pipelines/{record.pipeline_id}/records/{record.id}"


async def _version(caller: Caller, pipeline_id: str, if_match: str | None) -> int | None:
    """The version that a change was made to; `VersionRequired` where one must be named."""
    if if_match is None:
        await caller.require_version(parse_id(pipeline_id))
    return tagged_version(if_match)


async def _past(
    caller: Caller, pipeline_id: UUID, record_id: UUID, asked: tuple[str, str | None, str | None], position: str
) -> ASGIResponse:
    at, fields, expand = asked
    if expand is not None:
        raise Invalid(errors=[Fault("/expand", "not_here", "What a record once held is not expanded")])
    found = await past.as_of(caller, pipeline_id, record_id, past.parse_moment(at), fields)
    return answer(msgspec.json.encode(found), 200, {"change-seq": position})


class RecordsController(Controller):
    """Records of a pipeline, by their ids."""

    path = "/pipelines/{pipeline_id:str}/records"
    tags = ("Records",)
    dependencies = CALLER

    @get(responses=answers(RecordPage), operation_id="ListRecords", opt=FILTERED)
    async def list_records(
        self,
        request: Request[Any, Any, Any],
        caller: NamedDependency[Caller],
        platform: NamedDependency[Platform],
        pipeline_id: FromPath[str],
        sort: FromQuery[str | None] = None,
        limit: FromQuery[int] = 50,
        cursor: FromQuery[str | None] = None,
        fields: FromQuery[str | None] = None,
        expand: FromQuery[str | None] = None,
        count: FromQuery[str] = "none",
        view: FromQuery[str | None] = None,
    ) -> ASGIResponse:
        """The records that may be seen. Filters: `filter[score][gte]=50`, or a JSON tree in `filter`; those of a `view`
        hold besides, and its order and fields where none are given.
        """
        position = caller.position(platform.bus)
        pairs = list(request.query_params.multi_items())
        asked = ListRequest(
            pairs=pairs, sort=sort, limit=limit, cursor=cursor, fields=fields, expand=expand, count=count, view=view
        )
        page = await read.list_records(caller, parse_id(pipeline_id), asked)
        return page_answer(page.bodies, page.next_cursor, page.count, {"change-seq": str(position)})

    @get("/trash", responses=answers(RecordPage), operation_id="ListTrash")
    async def list_trash(
        self,
        request: Request[Any, Any, Any],
        caller: NamedDependency[Caller],
        platform: NamedDependency[Platform],
        pipeline_id: FromPath[str],
        sort: FromQuery[str | None] = None,
        limit: FromQuery[int] = 50,
        cursor: FromQuery[str | None] = None,
        count: FromQuery[str] = "none",
    ) -> ASGIResponse:
        """The records in the trash."""
        position = caller.position(platform.bus)
        pairs = list(request.query_params.multi_items())
        asked = ListRequest(pairs=pairs, sort=sort, limit=limit, cursor=cursor, count=count, trashed=True)
        page = await read.list_records(caller, parse_id(pipeline_id), asked)
        return page_answer(page.bodies, page.next_cursor, page.count, {"change-seq": str(position)})

    @get("/aggregate", responses=answers(GroupList), operation_id="AggregateRecords", opt=FILTERED)
    async def aggregate_records(
        self,
        request: Request[Any, Any, Any],
        caller: NamedDependency[Caller],
        platform: NamedDependency[Platform],
        pipeline_id: FromPath[str],
        group_by: FromQuery[str | None] = None,
        metrics: FromQuery[str] = "count",
        time_zone: FromQuery[str | None] = None,
    ) -> ASGIResponse:
        """Count, sum, avg, min, max, p50, p95 and p99 over the records that may be seen, with the filters of a list.

        Of a currency these are over its amounts (`sum:price`, or `sum:price.amount`), which `group_by=price.currency`
        keeps apart. Times are grouped by `day`, `week`, `month`, `quarter` or `year` (`group_by=won_at:month`), in the
        time zone of the organization or in `time_zone`.
        """
        position = str(caller.position(platform.bus))
        pairs = list(request.query_params.multi_items())
        groups = await aggregate(caller, parse_id(pipeline_id), pairs, group_by, metrics, time_zone)
        return answer(f'{{"items":[{",".join(groups)}]}}', 200, {"change-seq": position})

    @post(responses=answers(MadeRecord, 201), operation_id="CreateRecord")
    async def create_record(
        self, caller: NamedDependency[Caller], pipeline_id: FromPath[str], data: JSONBody[RecordInput]
    ) -> ASGIResponse:
        """Make a record, with its relationships to others."""
        wanted = [relationship.request() for relationship in data.relationships]
        shown, outcome = await create(caller, parse_id(pipeline_id), data.data, wanted)
        assert outcome.record is not None
        return made_answer(shown, outcome.record.version, outcome.relationships, _location(outcome.record))

    @get("/{record_id:str}", responses=answers(Record), operation_id="GetRecord")
    async def get_record(
        self,
        caller: NamedDependency[Caller],
        platform: NamedDependency[Platform],
        pipeline_id: FromPath[str],
        record_id: FromPath[str],
        fields: FromQuery[str | None] = None,
        expand: FromQuery[str | None] = None,
        as_of: FromQuery[str | None] = None,
        if_none_match: IfNoneMatch = None,
    ) -> ASGIResponse:
        """One record; its version is its entity tag. With `as_of`, a version or a time, it is shown as it was then.

        What is expanded has versions of its own, so it is sent whatever `If-None-Match` says.
        """
        position = str(caller.position(platform.bus))
        if as_of is not None:
            return await _past(caller, parse_id(pipeline_id), parse_id(record_id), (as_of, fields, expand), position)
        version, body = await read.get(caller, parse_id(pipeline_id), parse_id(record_id), fields, expand)
        if expand is None and not_modified(if_none_match, version):
            return answer(b"", 304, {"etag": f'"{version}"', "change-seq": position})
        return record_answer(body, version, headers={"change-seq": position})

    @patch("/{record_id:str}", responses=answers(Record), operation_id="PatchRecord")
    async def patch_record(
        self,
        caller: NamedDependency[Caller],
        pipeline_id: FromPath[str],
        record_id: FromPath[str],
        data: JSONBody[DataInput | list[Step]],
        if_match: IfMatch = None,
        x_lock_token: LockToken = None,
    ) -> ASGIResponse:
        """Merge a patch. One made to an old version is merged too, unless others changed the same fields since.

        Who holds locks of fields names their tokens in `X-Lock-Token`, with commas; what others hold is 409 `locked`.

        A list is a JSON Patch (RFC 6902), its paths beginning at the record: `/data/email`.
        """
        version = await _version(caller, pipeline_id, if_match)
        operation = _patch(parse_id(record_id), data, version, lock_tokens(x_lock_token))
        shown, outcome = await update(caller, parse_id(pipeline_id), operation)
        assert outcome.record is not None
        return record_answer(shown, outcome.record.version)

    @put("/{record_id:str}", responses=answers(Record), operation_id="ReplaceRecord")
    async def replace_record(
        self,
        caller: NamedDependency[Caller],
        pipeline_id: FromPath[str],
        record_id: FromPath[str],
        data: JSONBody[DataInput],
        if_match: IfMatch = None,
        x_lock_token: LockToken = None,
    ) -> ASGIResponse:
        """Replace all visible fields; what is not given is cleared."""
        version = await _version(caller, pipeline_id, if_match)
        tokens = lock_tokens(x_lock_token)
        operation = Update(parse_id(record_id), data.data, version, exact=True, replace=True, tokens=tokens)
        shown, outcome = await update(caller, parse_id(pipeline_id), operation)
        assert outcome.record is not None
        return record_answer(shown, outcome.record.version)

    @delete("/{record_id:str}", operation_id="DeleteRecord")
    async def delete_record(
        self,
        caller: NamedDependency[Caller],
        pipeline_id: FromPath[str],
        record_id: FromPath[str],
        permanent: FromQuery[bool] = False,
        if_match: IfMatch = None,
    ) -> None:
        """Put a record into the trash, or take it away for good."""
        remove = trash.purge if permanent else trash.trash
        version = await _version(caller, pipeline_id, if_match)
        await remove(caller, parse_id(pipeline_id), parse_id(record_id), version)

    @post("/{record_id:str}/restore", status_code=200, responses=answers(Record), operation_id="RestoreRecord")
    async def restore_record(
        self, caller: NamedDependency[Caller], pipeline_id: FromPath[str], record_id: FromPath[str]
    ) -> ASGIResponse:
        """Take a record out of the trash."""
        shown, record = await trash.restore(caller, parse_id(pipeline_id), parse_id(record_id))
        return record_answer(shown, record.version)

    @post("/{record_id:str}/revert", status_code=200, responses=answers(Record), operation_id="RevertRecord")
    async def revert_record(
        self,
        caller: NamedDependency[Caller],
        pipeline_id: FromPath[str],
        record_id: FromPath[str],
        data: JSONBody[RevertInput],
        if_match: IfMatch = None,
    ) -> ASGIResponse:
        """Give fields the values that they had at a version. What does not fit any more is refused, field by field."""
        expected = await _version(caller, pipeline_id, if_match)
        shown, outcome = await past.revert(caller, parse_id(pipeline_id), parse_id(record_id), data.version, expected)
        assert outcome.record is not None
        return record_answer(shown, outcome.record.version)

    @post("/{record_id:str}/increment", status_code=200, responses=answers(Record), operation_id="IncrementRecord")
    async def increment_record(
        self,
        caller: NamedDependency[Caller],
        pipeline_id: FromPath[str],
        record_id: FromPath[str],
        data: JSONBody[IncrementInput],
    ) -> ASGIResponse:
        """Add to a number; of many at once none is lost."""
        shown, record = await increment(caller, parse_id(pipeline_id), parse_id(record_id), data.field, data.by)
        return record_answer(shown, record.version)

    @put("/by/{field:str}/{value:path}", responses=answers(Record) | answers(Record, 201), operation_id="UpsertRecord")
    async def upsert_record(
        self,
        caller: NamedDependency[Caller],
        pipeline_id: FromPath[str],
        field: FromPath[str],
        value: FromPath[str],
        data: JSONBody[DataInput],
        if_match: IfMatch = None,
    ) -> ASGIResponse:
        """Change the record that has this value in a unique field, or make it where no version is named."""
        version = await _version(caller, pipeline_id, if_match)
        text = str(value).removeprefix("/")
        shown, outcome = await upsert(caller, parse_id(pipeline_id), field, text, data.data, version)
        assert outcome.record is not None
        if outcome.status != "created":
            return record_answer(shown, outcome.record.version)
        return record_answer(shown, outcome.record.version, 201, {"location": _location(outcome.record)})
