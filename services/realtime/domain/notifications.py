"""Notifications: what people are told of, how they want to be told, and when their digests are due."""

from datetime import datetime, timedelta
from typing import Any, Literal, get_args
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

import msgspec

from libs.common.errors import Fault
from services.realtime.domain.changes import Actor

NoticeKind = Literal["assigned", "mentioned", "stage_changed", "view_entered", "webhook_disabled"]
Digest = Literal["off", "daily", "weekly"]
MailState = Literal["none", "digest", "asked"]

KINDS: tuple[NoticeKind, ...] = get_args(NoticeKind)
MAX_KEPT = 1_000
KEPT_DAYS = 90
MAX_FOLLOWS = 500
MAX_TOLD = 200
MAX_LINES = 100
MAX_MAILS_PER_HOUR = 20
OVERFLOW = timedelta(hours=1)


class Way(msgspec.Struct, frozen=True):
    """How one kind is told: in the app, and by mail, which comes at once or in a digest."""

    in_app: bool = True
    mail: bool = False
    digest: Digest = "off"

    @property
    def mail_state(self) -> MailState:
        """What becomes of the mail of a new notification."""
        if not self.mail:
            return "none"
        return "asked" if self.digest == "off" else "digest"


class Preferences(msgspec.Struct, frozen=True):
    """How a person wants to be told; digests come at an hour of the day in a time zone, weekly ones on Mondays."""

    kinds: dict[NoticeKind, Way] = {}
    time_zone: str = "UTC"
    digest_hour: int = 8

    def way(self, kind: NoticeKind) -> Way:
        """How one kind is told."""
        return self.kinds.get(kind) or DEFAULTS[kind]

    def full(self) -> "Preferences":
        """With every kind named."""
        return Preferences({kind: self.way(kind) for kind in KINDS}, self.time_zone, self.digest_hour)

    def without_mail(self, kind: NoticeKind | None) -> "Preferences":
        """With no mail of one kind, or of any."""
        kinds = dict(self.full().kinds)
        for name in KINDS if kind is None else (kind,):
            kinds[name] = msgspec.structs.replace(kinds[name], mail=False)
        return msgspec.structs.replace(self, kinds=kinds)

    def collected(self, now: datetime) -> list[NoticeKind]:
        """The kinds whose digest goes on this day; and those without one, of which too many came at once."""
        monday = now.astimezone(self._zone).weekday() == 0
        wanted = ("off", "daily", "weekly") if monday else ("off", "daily")
        return [kind for kind in KINDS if (way := self.way(kind)).mail and way.digest in wanted]

    def next_digest(self, now: datetime) -> datetime:
        """The next moment after this one at which the day's hour begins; where clocks skip it, a little later."""
        local = now.astimezone(self._zone)
        at = local.replace(hour=self.digest_hour, minute=0, second=0, microsecond=0)
        if at <= local:
            at = (at + timedelta(days=1)).replace(hour=self.digest_hour)
        return at

    @property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)


DEFAULTS: dict[NoticeKind, Way] = {
    "assigned": Way(mail=True),
    "mentioned": Way(mail=True),
    "stage_changed": Way(),
    "view_entered": Way(),
    "webhook_disabled": Way(mail=True),
}


def check(given: Preferences) -> list[Fault]:
    """Faults of preferences."""
    faults = []
    if given.time_zone not in available_timezones():
        faults.append(Fault("/time_zone", "invalid_time_zone", "A time zone such as 'Europe/Berlin' is expected"))
    if not 0 <= given.digest_hour <= 23:
        faults.append(Fault("/digest_hour", "out_of_range", "'digest_hour' is from 0 to 23"))
    return faults


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that one person is told. `title` is that of the record, `data` says more: actor, field, view."""

    id: UUID
    user_id: UUID
    event_id: UUID
    kind: NoticeKind
    title: str
    pipeline_id: UUID | None = None
    record_id: UUID | None = None
    data: dict[str, Any] = {}
    in_app: bool = True
    mail: MailState = "none"
    created_at: datetime
    read_at: datetime | None = None


class Follow(msgspec.Struct, frozen=True):
    """A record or a view that a person follows; of a view, its name and filter."""

    user_id: UUID
    kind: Literal["record", "view"]
    target_id: UUID
    pipeline_id: UUID
    name: str
    filter: Any
    created_at: datetime


def line(it: Notification) -> str:
    """A notification in words."""
    who = it.data.get("actor", {}).get("name") or "Somebody"
    title = it.title or "a record"
    match it.kind:
        case "assigned":
            return f"{who} assigned you {title}."
        case "mentioned":
            return f"{who} mentioned you in {title}."
        case "stage_changed":
            return f"{who} moved {title} to {it.data.get('stage') or 'no stage'}."
        case "view_entered":
            return f"{title} is now in the view {it.data.get('view')}."
        case "webhook_disabled":
            return f"The webhook to {it.title} was disabled ({it.data.get('reason')})."


def said(actor: Actor | None) -> dict[str, Any]:
    """The actor of a change, as notifications tell of them."""
    return {"actor": {"id": str(actor.id), "kind": actor.kind, "name": actor.name}} if actor else {}
