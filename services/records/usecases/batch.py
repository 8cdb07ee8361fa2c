"""Do many operations in one transaction."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from libs.common.errors import AppError, Fault, Forbidden, Invalid
from services.records.domain import fields
from services.records.domain.operations import Create, Delete, Link, Operation, Outcome, Update, Upsert
from services.records.domain.permissions import escape
from services.records.domain.reach import Reach
from services.records.usecases.caller import Caller
from services.records.usecases.create import LinkRequest, links
from services.records.usecases.writing import Writer

MAX_OPERATIONS = 10_000

Asked = tuple[Operation, tuple[LinkRequest, ...]]


class DryRun(Exception):
    """Ends the transaction of a dry run, with what would have been done."""

    def __init__(self, outcomes: list[Outcome]) -> None:
        self.outcomes = outcomes
        super().__init__()


async def batch(
    caller: Caller, pipeline_id: UUID, asked: Sequence[Asked], *, atomic: bool, dry_run: bool
) -> list[Outcome]:
    """What became of each operation. With `atomic` a failure anywhere is `Invalid`, and nothing was done."""

    async def work(reach: Reach) -> list[Outcome]:
        operations = await _linked(caller, reach, asked)
        try:
            async with caller.database.tenant(caller.tenant_id) as connection:
                outcomes = await Writer(caller, reach, connection).run(operations, atomic=atomic)
                if atomic:
                    _raise_failures(outcomes)
                if dry_run:
                    raise DryRun(outcomes)
                return outcomes
        except DryRun as done:
            return done.outcomes

    if not atomic:
        await _refresh(caller, pipeline_id, asked)
    return await caller.settled(pipeline_id, work)


async def _linked(caller: Caller, reach: Reach, asked: Sequence[Asked]) -> list[Operation]:
    """The operations with their relationships; one whose relationships cannot be fails by itself."""
    known: dict[tuple[LinkRequest, ...], tuple[Link, ...] | AppError] = {(): ()}
    operations: list[Operation] = []
    for operation, wanted in asked:
        if wanted and isinstance(operation, Create):
            if wanted not in known:
                known[wanted] = await _links(caller, reach, wanted)
            found = known[wanted]
            change = {"unlinked": found} if isinstance(found, AppError) else {"links": found}
            operation = msgspec.structs.replace(operation, **change)
        operations.append(operation)
    return operations


async def _links(caller: Caller, reach: Reach, wanted: tuple[LinkRequest, ...]) -> tuple[Link, ...] | AppError:
    try:
        return await links(caller, reach.pipeline.id, wanted)
    except (Invalid, Forbidden) as error:
        return error


async def _refresh(caller: Caller, pipeline_id: UUID, asked: Sequence[Asked]) -> None:
    """Asks for a newer definition if the known one finds fault: results row by row raise nothing to judge again."""
    pipeline = (await caller.reach(pipeline_id)).pipeline
    for operation, _ in asked:
        given = _given(operation)
        missing = isinstance(operation, Create) and any(name not in given for name in pipeline.required)
        if missing or fields.checked(pipeline, given)[1]:
            await caller.catalog.newer(caller.tenant_id, pipeline)
            return


def _given(operation: Operation) -> dict[str, object]:
    match operation:
        case Create(data) | Upsert(_, data):
            return dict(data)
        case Update(_, patch):
            return dict(patch)
        case Delete():
            return {}


def _raise_failures(outcomes: Sequence[Outcome]) -> None:
    failed = [(outcome.index, outcome.error) for outcome in outcomes if outcome.error is not None]
    if failed:
        faults = [fault for index, error in failed for fault in faults_of(error, f"/operations/{index}")]
        raise Invalid("Nothing was written, because not everything could be", errors=faults[:1000])


def faults_of(error: AppError, pointer: str = "") -> list[Fault]:
    """An operation's error as faults."""
    if error.errors:
        return fields.below(error.errors, pointer)
    return [Fault(pointer, escape(error.code).replace("-", "_"), error.detail)]
