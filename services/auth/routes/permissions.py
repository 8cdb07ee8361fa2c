"""`/permissions/explain`: why something is allowed or denied."""

from uuid import UUID

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from libs.common.identity import Principal
from libs.common.permissions import Action, Grant, Permissions
from services.auth.domain.roles import RoleName
from services.auth.routes.shapes import id_parameter, role_name
from services.auth.usecases import permissions as cases
from services.auth.usecases.context import Context
from services.auth.usecases.permissions import Explanation, Question


class ReasonAnswer(msgspec.Struct, frozen=True):
    """A grant that allows it, the role that holds it, and the role that inherits it where that is another."""

    role: RoleName
    inherited_by: RoleName | None
    grant: Grant


class ExplanationAnswer(msgspec.Struct, frozen=True):
    """Any one of the reasons suffices; a row rule in each of them restricts which records are meant."""

    allowed: bool
    detail: str
    action: str
    resource: str
    pipeline_id: UUID | None
    record_visible: bool | None
    reasons: list[ReasonAnswer]
    considered: list[RoleName]


class PermissionsController(Controller):
    """Why something is allowed or denied."""

    path = "/permissions"
    tags = ["Roles"]  # noqa: RUF012

    @get("/explain", summary="Why something is allowed or denied")
    async def explain(
        self,
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
        action: FromQuery[Action],
        resource: FromQuery[str],
        pipeline_id: FromQuery[str | None] = None,
        record_id: FromQuery[str | None] = None,
        user_id: FromQuery[str | None] = None,
    ) -> ExplanationAnswer:
        """Names the grants that allow an action, and the roles they come from; `user_id` asks for someone else."""
        question = Question(
            action,
            resource,
            id_parameter("pipeline_id", pipeline_id),
            id_parameter("record_id", record_id),
            id_parameter("user_id", user_id),
        )
        return _answer(question, await cases.explain(auth, principal, permissions, question))


def _answer(question: Question, found: Explanation) -> ExplanationAnswer:
    reasons = [
        ReasonAnswer(role_name(it.role), None if it.of.id == it.role.id else role_name(it.of), it.grant)
        for it in found.reasons
    ]
    considered = [role_name(role) for role in found.considered]
    return ExplanationAnswer(
        found.allowed, _detail(found), question.action, question.resource, found.pipeline_id, found.record_visible,
        reasons, considered,
    )  # fmt: skip


def _detail(found: Explanation) -> str:
    if found.record_visible is False:
        return "The record does not exist, or no grant makes it visible"
    if not found.reasons:
        return "None of the roles considered has a grant for it, and deny is the default"
    if all(it.grant.row_rule is not None for it in found.reasons):
        return "Allowed for the records that satisfy a row rule of one of the grants"
    return "Allowed by the grants named"
