"""Work that outlasts a request: what is known of a job, and what others are told of it."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from libs.common.clock import rfc3339
from libs.common.errors import WireError
from libs.common.events import NewEvent
from libs.common.identity import Principal

State = Literal["queued", "running", "done", "failed", "cancelled"]
OPEN: tuple[State, ...] = ("queued", "running")


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """How much is done, of how much where that is known, and how much per second."""

    done: int
    rate: float
    total: int | None = None


class JobShown(msgspec.Struct, frozen=True, omit_defaults=True):
    """A job as the API and the events show it. `report_url` leads to what it made, or to what it refused."""

    id: UUID
    kind: str
    state: str
    progress: Progress
    created: int
    updated: int
    refused: int
    created_at: str
    created_by: UUID
    pipeline_id: UUID | None = None
    report_url: str | None = None
    result: dict[str, Any] | None = None
    error: WireError | None = None
    started_at: str | None = None
    finished_at: str | None = None


class Job(msgspec.Struct, frozen=True):
    """A job. `input` is what was asked for, `checkpoint` how far it has come, `principal` who asked."""

    id: UUID
    kind: str
    pipeline_id: UUID | None
    state: str
    input: dict[str, Any]
    checkpoint: dict[str, Any]
    done: int
    total: int | None
    created: int
    updated: int
    refused: int
    result: dict[str, Any] | None
    error: WireError | None
    principal: Principal
    created_at: datetime
    started_at: datetime | None
    updated_at: datetime
    finished_at: datetime | None

    def shown(self) -> JobShown:
        """What its owner sees."""
        result = self.result or {}
        return JobShown(
            self.id, self.kind, self.state, Progress(self.done, self._rate(), self.total),
            self.created, self.updated, self.refused, rfc3339(self.created_at), self.principal.id, self.pipeline_id,
            result.get("report_url"), {k: v for k, v in result.items() if k != "report_url"} or None, self.error,
            _moment(self.started_at), _moment(self.finished_at),
        )  # fmt: skip

    def event(self, verb: str) -> NewEvent:
        """`records.job.<verb>`."""
        return NewEvent(f"records.job.{verb}", self.id, self.shown())

    def _rate(self) -> float:
        if self.started_at is None:
            return 0.0
        seconds = ((self.finished_at or self.updated_at) - self.started_at).total_seconds()
        return round(self.done / seconds, 1) if seconds > 0 else 0.0


def _moment(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)
