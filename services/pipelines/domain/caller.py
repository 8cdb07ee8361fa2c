from uuid import UUID

import msgspec

from libs.common.errors import NotFound
from libs.common.identity import Principal
from libs.common.permissions import ANY, Permissions
from libs.common.plans import NONE, Limits, require_room

PIPELINES = "pipelines"
RELATIONSHIP_TYPES = "relationship_types"


class Caller(msgspec.Struct, frozen=True):
    """Who asks, what they may do, and what their organization's plan allows."""

    principal: Principal
    permissions: Permissions
    limits: Limits = NONE

    @property
    def tenant(self) -> UUID:
        """The caller's tenant."""
        return self.principal.tenant_id

    @property
    def id(self) -> UUID:
        """The caller's own id."""
        return self.principal.id

    def sees(self, pipeline_id: UUID) -> bool:
        """Whether the pipeline exists for the caller."""
        return self.permissions.allow("read", PIPELINES, pipeline_id)

    def require(self, action: str, pipeline_id: UUID) -> None:
        """What is not seen is `NotFound`; what is seen but not allowed is `Forbidden`."""
        if not self.sees(pipeline_id):
            raise NotFound
        self.permissions.require(action, PIPELINES, pipeline_id)

    def require_any(self, action: str) -> None:
        """An action that concerns no pipeline in particular."""
        self.permissions.require(action, PIPELINES)

    def scope(self, action: str) -> list[UUID] | None:
        """The pipelines that the action is allowed on; None is all of them."""
        if self.permissions.allow(action, PIPELINES):
            return None
        grants = (g for g in self.permissions.grants if g.resource in (PIPELINES, ANY) and g.pipeline_id)
        return sorted({g.pipeline_id for g in grants if g.pipeline_id and g.covers(action, PIPELINES, g.pipeline_id)})

    def require_room(self, pipelines: int) -> None:
        """Refuses another pipeline than the plan allows, where there are so many."""
        require_room("pipelines", self.limits.pipelines, pipelines)

    def require_types(self, action: str) -> None:
        """An action on types of relationships."""
        self.permissions.require(action, RELATIONSHIP_TYPES)
