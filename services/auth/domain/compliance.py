"""What a person may ask of an organization that holds data on them (GDPR, articles 15, 17 and 20)."""

import hashlib
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

Kind = Literal["export", "erasure"]

SOURCES = ("auth", "pipelines", "records", "realtime")
MAX_RUNNING = 20


class Job(msgspec.Struct, frozen=True):
    """A request on its way through all services: at `source`, whose next page begins at `cursor`.

    The summary counts what was found, or erased, by service.
    """

    id: UUID
    kind: Kind
    state: Literal["running", "done"]
    user_id: UUID | None
    email: str | None
    requested_by: UUID
    requested_at: datetime
    source: str
    cursor: str | None
    finished_at: datetime | None
    summary: dict[str, Any]


def next_source(source: str) -> str | None:
    """Who is asked after this one."""
    place = SOURCES.index(source) + 1
    return SOURCES[place] if place < len(SOURCES) else None


def counted(summary: dict[str, Any], source: str, counts: dict[str, int]) -> dict[str, Any]:
    """A summary with some more from one service."""
    before = dict(summary.get(source, {}))
    for name, count in counts.items():
        before[name] = before.get(name, 0) + count
    return {**summary, source: before}


def file_name(number: int, source: str) -> str:
    """What a piece of a report is called."""
    return f"{number:05d}-{source}.json"


def digest(document: bytes) -> str:
    """SHA-256 of a piece, as the manifest tells it."""
    return hashlib.sha256(document).hexdigest()
