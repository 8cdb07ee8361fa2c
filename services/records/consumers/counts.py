"""What realtime asks for boards: the groups of a view, counted."""

from uuid import UUID

import msgspec

from libs.common.app import Platform
from services.records.usecases.aggregate import aggregate
from services.records.usecases.caller import Caller
from services.records.usecases.catalog import Catalog


class CountQuestion(msgspec.Struct, frozen=True):
    """What is to be counted of what the token's principal may see; `filter` is a tree as JSON text."""

    token: str
    pipeline_id: UUID
    filter: str | None
    group_by: str | None
    metrics: str


class Counts(msgspec.Struct, frozen=True):
    """The groups, with everything up to the position `seq` counted."""

    seq: int
    groups: msgspec.Raw


def serve(platform: Platform, catalog: Catalog) -> None:
    """Answers `rpc.records.aggregate`."""

    async def answer(question: CountQuestion) -> Counts:
        principal, permissions = await platform.authenticate(question.token)
        caller = Caller(principal, permissions, catalog, platform.database)
        position = platform.bus.position
        pairs = [("filter", question.filter)] if question.filter else []
        groups = await aggregate(caller, question.pipeline_id, pairs, question.group_by, question.metrics)
        return Counts(position, msgspec.Raw(f"[{','.join(groups)}]".encode()))

    platform.bus.serve("rpc.records.aggregate", CountQuestion, answer)
