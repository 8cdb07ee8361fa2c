"""What becomes of a definition when records follow it, or do not."""

from collections.abc import Collection
from uuid import UUID

from msgspec.structs import replace

from libs.common.identity import Principal
from libs.common.ids import new_id
from libs.common.permissions import Permissions
from libs.common.postgres import Connection
from services.pipelines.domain.caller import Caller
from services.pipelines.domain.evolution import By
from services.pipelines.domain.pipelines import Pipeline
from services.pipelines.storage import pipelines as storage
from services.pipelines.usecases import evolve, pipelines

MAX_ATTEMPTS = 5


async def done(connection: Connection, tenant_id: UUID, pipeline_id: UUID, job_id: UUID) -> None:
    """Nothing is left to the job; the definition is the same."""
    found = await storage.lock(connection, tenant_id, pipeline_id)
    if found is not None and evolve.job_of(found, job_id) is not None:
        await storage.settle(connection, tenant_id, _without(found, job_id))


async def not_unique(
    connection: Connection, tenant_id: UUID, pipeline_id: UUID, job_id: UUID, names: Collection[str]
) -> None:
    """Takes back that fields are unique, of which records have the same values; the rest was done."""
    found = await storage.lock(connection, tenant_id, pipeline_id)
    asked = None if found is None else evolve.job_of(found, job_id)
    if found is None or asked is None:
        return
    fields = tuple(replace(f, unique=False) if f.name in names else f for f in found.fields)
    claims = {name: claim for name, claim in found.claims.items() if name not in names}
    new = replace(_without(found, job_id), fields=fields, claims=claims)
    await pipelines.write(connection, _as(tenant_id, asked.by), "updated", new)


async def again(connection: Connection, tenant_id: UUID, pipeline_id: UUID, job_id: UUID) -> None:
    """Lets another job go on where one broke off, a few times; until then records are brought along as they change."""
    found = await storage.lock(connection, tenant_id, pipeline_id)
    asked = None if found is None else evolve.job_of(found, job_id)
    if found is None or asked is None or asked.attempts >= MAX_ATTEMPTS:
        return
    next_one = replace(asked, job_id=new_id(), attempts=asked.attempts + 1)
    pending = tuple(next_one if one.job_id == job_id else one for one in found.pending)
    await pipelines.write(connection, _as(tenant_id, asked.by), "updated", replace(found, pending=pending))


def _without(pipeline: Pipeline, job_id: UUID) -> Pipeline:
    return replace(pipeline, pending=tuple(one for one in pipeline.pending if one.job_id != job_id))


def _as(tenant_id: UUID, by: By) -> Caller:
    principal = Principal(
        tenant_id=tenant_id, id=by.id, kind=by.kind, session_id=by.id, name=by.name, roles=by.roles, issued_at=0,
        expires_at=0,
    )  # fmt: skip
    return Caller(principal, Permissions([]))
