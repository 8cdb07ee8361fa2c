"""Many operations at once."""

from collections import Counter

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


class BatchController(Controller):
    """Many operations in one transaction."""

    path = "/pipelines/{pipeline_id:str}/records/batch"
    tags = ("Records",)
    dependencies = CALLER

    @post(status_code=200, operation_id="BatchRecords")
    async def run_batch(
        self, caller: NamedDependency[Caller], pipeline_id: FromPath[str], data: JSONBody[BatchInput]
    ) -> BatchAnswer:
        """Create, update, upsert and delete, with a result for each."""
        asked = _operations(data.operations)
        outcomes = await batch(caller, parse_id(pipeline_id), asked, atomic=data.atomic, dry_run=data.dry_run)
        return _answer(outcomes)


def _operations(given: list[BatchOperation]) -> list[Asked]:
    if len(given) > MAX_OPERATIONS:
        detail = f"At most {MAX_OPERATIONS} operations are taken at once"
        raise Invalid(errors=[Fault("/operations", "too_many", detail)])
    faults = [
        Fault(f"/operations/{index}/{name}", "required", f"'{operation.op}' needs '{name}'")
        for index, operation in enumerate(given)
        for name in _NEEDED[operation.op]
        if getattr(operation, name) is None
    ]
    if faults:
        raise Invalid(errors=faults[:1000])
    return [(_operation(it), tuple(link.request() for link in it.relationships)) for it in given]


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
    counts = Counter(result.status for result in results)
    return BatchAnswer(
        results, counts["created"], counts["updated"], counts["unchanged"], counts["deleted"], counts["failed"]
    )


def _result(outcome: Outcome) -> BatchResult:
    if outcome.error is not None:
        return BatchResult(outcome.index, "failed", errors=tuple(faults_of(outcome.error)))
    assert outcome.record is not None
    return BatchResult(outcome.index, outcome.status, outcome.record.id, outcome.record.version)
