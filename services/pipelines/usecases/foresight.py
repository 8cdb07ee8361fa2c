"""What changes of a definition would do to the records that are there; records itself is asked."""

from uuid import UUID

import msgspec

from libs.common.bus import Bus
from services.pipelines.domain.caller import Caller
from services.pipelines.domain.evolution import TREATMENTS, Change, Effect, Step, differences
from services.pipelines.domain.fields import AnyField
from services.pipelines.domain.pipelines import Pipeline
from services.pipelines.domain.schemas import PlannedChange, Sample

FORECAST_SECONDS = 15.0


class Proposal(msgspec.Struct, frozen=True):
    """A change as records are asked about it."""

    name: str
    effect: Effect
    field: AnyField


class Question(msgspec.Struct, frozen=True):
    """`rpc.records.plan`: what changes would do to records."""

    token: str
    pipeline_id: UUID
    proposals: list[Proposal]


class Foreseen(msgspec.Struct, frozen=True):
    """What one change would do."""

    records_affected: int | None
    records_failing: int | None
    samples: list[Sample]


class Forecast(msgspec.Struct, frozen=True):
    """What changes would do, in their order."""

    changes: list[Foreseen]
    estimated: bool


async def foresee(bus: Bus, caller: Caller, pipeline: Pipeline, step: Step) -> list[PlannedChange]:
    """The differences, with what they would do to the records that are there."""
    changes = differences(pipeline.fields, step)
    if not changes:
        return []
    before = {field.name: field for field in pipeline.fields}
    asked = [Proposal(it.name, it.effect, it.after or before[it.name]) for it in changes]
    question = Question(caller.principal.token, pipeline.id, asked)
    forecast = await bus.request("rpc.records.plan", question, Forecast, seconds=FORECAST_SECONDS)
    return [_planned(it, found, forecast.estimated) for it, found in zip(changes, forecast.changes, strict=True)]


def _planned(change: Change, found: Foreseen, estimated: bool) -> PlannedChange:
    counts = found.records_affected, found.records_failing
    return PlannedChange(change.field, change.kind, *counts, found.samples, TREATMENTS[change.effect], estimated)
