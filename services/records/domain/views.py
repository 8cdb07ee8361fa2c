"""A view of a pipeline's records, as the pipelines service announces it."""

from typing import Any
from uuid import UUID

import msgspec


class View(msgspec.Struct, frozen=True):
    """What a list is asked for by the name of the view: what passes, in which order, which fields."""

    id: UUID
    pipeline_id: UUID
    version: int
    visibility: str
    owner_id: UUID
    filter: dict[str, Any] | None = None
    sort: str | None = None
    fields: tuple[str, ...] | None = None
    group_by: str | None = None
    date_field: str | None = None
    deleted: bool = False

    def exists_for(self, user_id: UUID, pipeline_id: UUID) -> bool:
        """Whether a user may list the pipeline by it."""
        shown = self.visibility == "shared" or self.owner_id == user_id
        return shown and self.pipeline_id == pipeline_id and not self.deleted

    @property
    def order(self) -> str | None:
        """By the groups, then by the order that was asked for; a calendar without one goes by its date."""
        own = self.sort or self.date_field
        keys = [key for key in (self.group_by, *(own.split(",") if own else ())) if key]
        seen: dict[str, str] = {}
        for key in keys:
            seen.setdefault(key.strip().removeprefix("-"), key.strip())
        return ",".join(seen.values()) or None
