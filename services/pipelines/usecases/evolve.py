"""Take a pipeline to another definition, and tell records what that asks of them."""

from collections.abc import Sequence
from uuid import UUID

from msgspec.structs import replace

from libs.common import clock
from libs.common.ids import new_id
from libs.common.postgres import Connection
from services.pipelines.domain.caller import Caller
from services.pipelines.domain.evolution import (
    Move,
    Pending,
    Step,
    by,
    check_free,
    claims_after,
    demanded,
    differences,
    hidden,
    removed,
)
from services.pipelines.domain.pipelines import Pipeline
from services.pipelines.domain.schemas import Trashed
from services.pipelines.storage import schemas


async def follow(
    connection: Connection, caller: Caller, old: Pipeline, new: Pipeline, step: Step, *, stashes: Sequence[Move] = (),
    always: bool = False,
) -> tuple[Pipeline, Pending | None]:  # fmt: skip
    """The pipeline with what its new fields ask of records; removed fields are in the trash then, or gone for good.

    Where nothing is asked there is nothing pending, unless that is wanted `always`.
    """
    version = old.version + 1
    asked = demanded(old.fields, step, version, new_id(), by(caller.principal), tuple(stashes))
    check_free(old.pending, differences(old.fields, step), asked)
    if not step.purge:
        await _retire(connection, caller, old, step, version)
    claims = claims_after(old.fields, step, old.claims, version)
    needed = always or any((asked.moves, asked.converts, asked.fills, asked.claims, asked.purges, asked.computes))
    pending = (*old.pending, asked) if needed else old.pending
    return replace(new, fields=step.fields, claims=claims, pending=pending), asked if needed else None


async def _retire(connection: Connection, caller: Caller, old: Pipeline, step: Step, version: int) -> None:
    at = clock.now()
    for field in removed(old.fields, step):
        gone = Trashed(hidden(field.name, version), field, version, at, caller.id)
        await schemas.put_trash(connection, caller.tenant, old.id, gone)
    if step.restores:
        await schemas.take_trash(connection, caller.tenant, old.id, list(step.restores))


async def purge(connection: Connection, caller: Caller, old: Pipeline, keys: Sequence[str]) -> Pipeline:
    """The pipeline, with fields of the trash gone for good."""
    await schemas.take_trash(connection, caller.tenant, old.id, keys)
    asked = Pending(job_id=new_id(), version=old.version + 1, by=by(caller.principal), purges=tuple(keys))
    return replace(old, pending=(*old.pending, asked))


def job_of(pipeline: Pipeline, job_id: UUID) -> Pending | None:
    """What a job has to do."""
    return next((pending for pending in pipeline.pending if pending.job_id == job_id), None)
