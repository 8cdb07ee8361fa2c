"""What a principal may do, and why."""

from collections.abc import Iterator
from uuid import UUID

import msgspec

from libs.common.errors import NotFound
from libs.common.identity import Principal
from libs.common.permissions import Grant, Permissions
from services.auth.domain import roles as rules
from services.auth.domain.roles import Catalogue, Role
from services.auth.storage import roles, users
from services.auth.usecases.context import Context


class Question(msgspec.Struct, frozen=True):
    """May this be done to a resource, of one pipeline, to one record? `user_id` asks for another user."""

    action: str
    resource: str
    pipeline_id: UUID | None = None
    record_id: UUID | None = None
    user_id: UUID | None = None


class Reason(msgspec.Struct, frozen=True):
    """A grant that allows it: of which role, and by way of which of the principal's roles."""

    role: Role
    of: Role
    grant: Grant


class Explanation(msgspec.Struct, frozen=True):
    """Whether something is allowed, by which grants, and which roles were considered.

    `record_visible` says whether the one who asks may see the record that was named, None where none was.
    """

    allowed: bool
    pipeline_id: UUID | None
    record_visible: bool | None
    reasons: list[Reason]
    considered: list[Role]


class _Record(msgspec.Struct):
    pipeline_id: UUID


async def of_principal(context: Context, principal: Principal) -> list[Role]:
    """The roles that the principal's token names."""
    async with context.database.tenant(principal.tenant_id) as connection:
        catalogue = await roles.catalogue(connection, principal.tenant_id)
    return [catalogue[role_id] for role_id in principal.roles if role_id in catalogue]


async def explain(context: Context, principal: Principal, permissions: Permissions, question: Question) -> Explanation:
    """Why something is allowed or denied. Asking for others takes reading users and roles."""
    catalogue, role_ids = await _considered(context, principal, permissions, question.user_id)
    visible, pipeline_id = None, question.pipeline_id
    if question.record_id is not None:
        found = await _pipeline_of_record(context, principal, question.record_id)
        visible, pipeline_id = found is not None, found or pipeline_id
    reasons = list(_reasons(catalogue, role_ids, question, pipeline_id))
    considered = [catalogue[role_id] for role_id in role_ids if role_id in catalogue]
    return Explanation(bool(reasons) and visible is not False, pipeline_id, visible, reasons, considered)


async def _considered(
    context: Context, principal: Principal, permissions: Permissions, user_id: UUID | None
) -> tuple[Catalogue, tuple[UUID, ...]]:
    other = user_id is not None and user_id != principal.id
    if other:
        permissions.require("read", "users")
        permissions.require("read", "roles")
    async with context.database.tenant(principal.tenant_id) as connection:
        catalogue = await roles.catalogue(connection, principal.tenant_id)
        if not other or user_id is None:
            return catalogue, principal.roles
        user = await users.get(connection, principal.tenant_id, user_id)
    if user is None:
        raise NotFound
    return catalogue, user.roles if user.status == "active" else ()


async def _pipeline_of_record(context: Context, principal: Principal, record_id: UUID) -> UUID | None:
    question = {"token": principal.token, "record_id": record_id}
    try:
        return (await context.bus.request("rpc.records.record", question, _Record)).pipeline_id
    except NotFound:
        return None


def _reasons(
    catalogue: Catalogue, role_ids: tuple[UUID, ...], question: Question, pipeline_id: UUID | None
) -> Iterator[Reason]:
    for role_id in role_ids:
        for part in rules.lineage(catalogue, role_id):
            for grant in part.grants:
                if grant.covers(question.action, question.resource, pipeline_id):
                    yield Reason(part, catalogue[role_id], grant)
