"""Many operations at once."""

from collections import Counter
from collections.abc import Iterator
from itertools import chain, count, islice

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from libs.common.errors import Fault, Invalid
from libs.common.ids import parse_id
from services.records.domain.operations import Create, Delete, Operation, Outcome, Update, Upsert
from services.records.routes.records import CALLER
from services.records.routes.shapes import BatchAnswer, BatchInput, BatchOperation, BatchResult
from services.records.usecases.batch import MAX_OPERATIONS, Asked, batch, faults_of
from services.records.usecases.caller import Caller

_NEEDED = {"create": ("data",), "update": ("id", "data"), "upsert": ("by", "data"), "delete": ("id",)}
_MAY_HAVE = {"create": ("relationships",), "update": ("version",), "upsert": (), "delete": ("version",)}
_MEMBERS = ("id", "by", "data", "version", "relationships")
MAX_ROW_FAULTS = 100
MAX_FAULTS = 10_000


class BatchController(Controller):
    """Many operations in one transaction."""

    path = "/pipelines/{pipeline_id:str}/records/batch"
    tags = ("Records",)
    dependencies = CALLER

    @post(status_code=200, operation_id="BatchRecords")
    async def run_batch(
        self, caller: NamedDependency[Caller], pipeline_id: FromPath[str], data: JSONBody[BatchInput]
    ) -> BatchAnswer:
        """Create, update, upsert and delete, with a result for each.

        A result tells up to 100 faults, all of them together up to 10,000 and then one each.
        """
        asked = _operations(data.operations)
        outcomes = await batch(caller, parse_id(pipeline_id), asked, atomic=data.atomic, dry_run=data.dry_run)
        return _answer(outcomes)


def _operations(given: list[BatchOperation]) -> list[Asked]:
    if len(given) > MAX_OPERATIONS:
        detail = f"At most {MAX_OPERATIONS} operations are taken at once"
        raise Invalid(errors=[Fault("/operations", "too_many", detail)])
    faults = list(islice(chain.from_iterable(map(_faults, count(), given)), 1000))
    if faults:
        raise Invalid(errors=faults)
    return [(_operation(it), tuple(link.request() for link in it.relationships)) for it in given]


def _faults(index: int, operation: BatchOperation) -> Iterator[Fault]:
    needed, op = _NEEDED[operation.op], operation.op
    for name in _MEMBERS:
        has = getattr(operation, name) not in (None, ())
        if name in needed and not has:
            yield Fault(f"/operations/{index}/{name}", "required", f"'{op}' needs '{name}'")
        elif has and name not in needed and name not in _MAY_HAVE[op]:
            yield Fault(f"/operations/{index}/{name}", "unknown_field", f"'{op}' takes no '{name}'")


def _operation(it: BatchOperation) -> Operation:
    data = it.data or {}
    if it.op == "create":
        return Create(data)
    if it.op == "upsert":
        return Upsert(it.by or "", data)
    assert it.id is not None
    return Update(it.id, data, it.version) if it.op == "update" else Delete(it.id, it.version)


def _answer(outcomes: list[Outcome]) -> BatchAnswer:
    results = [_result(outcome) for outcome in outcomes]
    told = 0
    for result in results:
        result.errors = result.errors[: max(1, min(MAX_ROW_FAULTS, MAX_FAULTS - told))]
        told += len(result.errors)
    counts = Counter(result.status for result in results)
    return BatchAnswer(
        results, counts["created"], counts["updated"], counts["unchanged"], counts["deleted"], counts["failed"]
    )


def _result(outcome: Outcome) -> BatchResult:
    if outcome.error is not None:
        return BatchResult(outcome.index, "failed", errors=tuple(faults_of(outcome.error)))
    assert outcome.record is not None
    return BatchResult(outcome.index, outcome.status, outcome.record.id, outcome.record.version)
