"""What other services ask over NATS."""

from typing import Any
from uuid import UUID

import msgspec

from libs.common.app import Platform
from services.pipelines.domain.caller import Caller
from services.pipelines.domain.pipelines import Announcement
from services.pipelines.domain.relationship_types import TypeAnnouncement, announcement
from services.pipelines.domain.views import ViewAnnouncement
from services.pipelines.usecases import pipelines, relationship_types, views


class DefinitionQuestion(msgspec.Struct, frozen=True):
    """Which pipeline."""

    tenant_id: UUID
    pipeline_id: UUID


class TypeQuestion(msgspec.Struct, frozen=True):
    """Which type of relationship, on whose behalf, and what it shall join."""

    token: str
    name: str
    source_pipeline: UUID | None = None
    target_pipeline: UUID | None = None


class ViewQuestion(msgspec.Struct, frozen=True):
    """Which view."""

    tenant_id: UUID
    view_id: UUID


def answer(platform: Platform) -> None:
    """Begins to answer."""

    async def definition(question: DefinitionQuestion) -> Announcement:
        return await pipelines.definition(platform.database, question.tenant_id, question.pipeline_id)

    async def relationship_type(question: TypeQuestion) -> TypeAnnouncement:
        caller = Caller(*await platform.authenticate(question.token))
        kind = await relationship_types.on_first_use(
            platform.database, caller, question.name, question.source_pipeline, question.target_pipeline
        )
        return announcement(kind)

    async def view(question: ViewQuestion) -> ViewAnnouncement:
        return await views.known(platform.database, question.tenant_id, question.view_id)

    async def schema(question: DefinitionQuestion) -> dict[str, Any]:
        return await pipelines.schema(platform.database, question.tenant_id, question.pipeline_id)

    platform.bus.serve("rpc.pipelines.json_schema", DefinitionQuestion, schema)
    platform.bus.serve("rpc.pipelines.view", ViewQuestion, view)
    platform.bus.serve("rpc.pipelines.definition", DefinitionQuestion, definition)
    platform.bus.serve("rpc.pipelines.relationship_type", TypeQuestion, relationship_type)
