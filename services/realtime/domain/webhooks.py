"""Webhooks: where changes are sent to, which ones, and when a delivery that failed is tried again."""

import random
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from libs.common.errors import Fault
from services.realtime.domain.sight import Kind

State = Literal["active", "paused", "disabled"]
Outcome = Literal["pending", "succeeded", "failed", "withheld"]

EVENTS = ("record.created", "record.updated", "record.deleted", "record.entered", "record.left")
EVERY = "*"
TEST = "webhook.test"

MAX_WEBHOOKS = 50
MAX_URL = 2048
MAX_DESCRIPTION = 500
MAX_PENDING = 100_000
MAX_RETRY_AFTER = 24 * 3600.0
GONE = 410

OWNER_AWAY = "owner-deactivated"
BY_OWNER = "paused"
ENDPOINT_GONE = "endpoint-gone"
FAILING = "failing"
BACKLOG = "too-many-pending"


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """Where the changes go that its owner may see. `reason` says why it is not active.

    `failing_since` is when its deliveries began to fail without one that succeeded. `secrets` are sealed.
    """

    id: UUID
    url: str
    events: tuple[str, ...]
    pipeline_id: UUID | None
    filter: object
    description: str
    state: State
    reason: str | None
    owner_id: UUID
    secrets: bytes
    failing_since: datetime | None
    created_at: datetime
    updated_at: datetime

    def wants(self, kind: str) -> bool:
        """Whether an event of this kind goes there."""
        return kind == TEST or EVERY in self.events or kind in self.events


def event_of(kind: Kind) -> str:
    """What a webhook calls a verdict: `record_created` is `record.created`."""
    return kind.replace("_", ".", 1)


def check_url(url: str, *, local: bool) -> list[Fault]:
    """Faults of an address; `local` allows what a developer's own machine needs."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    schemes = ("https", "http") if local else ("https",)
    visible = all(character.isprintable() and not character.isspace() for character in url)
    if not host or not visible or len(url) > MAX_URL or parts.scheme not in schemes or port == 0:
        return [Fault("/url", "invalid_url", f"An address that begins with {' or '.join(schemes)}:// is expected")]
    if parts.username or parts.password or parts.fragment:
        return [Fault("/url", "invalid_url", "An address without a user, a password or a fragment is expected")]
    return []


def check_events(events: list[str]) -> list[Fault]:
    """Faults of a choice of events."""
    if not events:
        return [Fault("/events", "required", "At least one event is expected; '*' is all")]
    known = (EVERY, *EVENTS)
    return [
        Fault(f"/events/{place}", "unknown_event", f"The events are {', '.join(known)}")
        for place, name in enumerate(events)
        if name not in known
    ]


def check_description(text: str) -> list[Fault]:
    """Faults of a description."""
    if len(text) <= MAX_DESCRIPTION:
        return []
    return [Fault("/description", "too_long", f"A description has at most {MAX_DESCRIPTION} characters")]


class Schedule:
    """When a failed delivery is tried again: after so many seconds at most, one for each retry, with full jitter."""

    def __init__(self, seconds: tuple[float, ...], give_up_days: float) -> None:
        self._seconds = seconds
        self._give_up = timedelta(days=give_up_days)

    @classmethod
    def of(cls, text: str, give_up_days: float) -> "Schedule":
        """The schedule of a setting: `5,300,1800`."""
        return cls(tuple(float(part) for part in text.split(",")), give_up_days)

    def delay(self, attempts: int, retry_after: float | None) -> float | None:
        """Seconds until the next attempt after so many; None where there is none any more."""
        if attempts > len(self._seconds):
            return None
        bound = self._seconds[attempts - 1]
        return max(random.uniform(bound / 10, bound), min(retry_after or 0.0, MAX_RETRY_AFTER))

    def pause(self, failures: int) -> float:
        """Seconds that an endpoint is left alone after so many rounds in which nothing succeeded."""
        if failures < 3:
            return 0.0
        bound = min(self._seconds[0] * 2.0 ** min(failures - 2, 16), 300.0)
        return random.uniform(bound / 10, bound)

    def over(self, failing_since: datetime | None, now: datetime) -> bool:
        """Whether a webhook has failed for so long that it is disabled."""
        return failing_since is not None and now - failing_since > self._give_up


def retry_after(text: str | None, now: datetime) -> float | None:
    """Seconds of a `Retry-After` (RFC 9110 §10.2.3): a number, or a date."""
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
