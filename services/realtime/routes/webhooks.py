"""`/webhooks`: changes sent to addresses on the Internet, signed by Standard Webhooks."""

from datetime import timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Controller, delete, get, patch, post
from litestar.datastructures import CacheControlHeader
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET, Meta, UnsetType

from libs.common import pages
from libs.common.clock import rfc3339
from libs.common.http import Input
from libs.common.identity import Principal
from libs.common.ids import parse_id
from libs.common.pages import Count, Page
from libs.common.permissions import Permissions
from services.realtime.domain.webhooks import Outcome, State, Webhook
from services.realtime.storage.deliveries import Attempt, Delivery
from services.realtime.usecases import webhooks
from services.realtime.usecases.webhooks import Caller, Hooks, Wanted

Events = Annotated[list[str], Meta(max_length=20, description="record.created, …, or * for all")]
Tree = Annotated[dict[str, Any], Meta(description="A filter tree on the records of `pipeline_id`")]


class WebhookInput(Input):
    """A new webhook. It tells what the one who makes it may see; a filter needs `pipeline_id`."""

    url: str
    events: Events
    filter: Tree | None = None
    pipeline_id: UUID | None = None
    description: str = ""


class WebhookPatch(Input):
    """What changes; what is left out stays. `state: active` also takes up a webhook that was disabled."""

    url: str | UnsetType = UNSET
    events: Events | UnsetType = UNSET
    filter: Tree | UnsetType | None = UNSET
    pipeline_id: UUID | UnsetType | None = UNSET
    description: str | UnsetType = UNSET
    state: Literal["active", "paused"] | UnsetType = UNSET


class RotateInput(Input):
    """For how many seconds the secrets before the new one sign as well."""

    overlap_seconds: Annotated[int, Meta(ge=0, le=7 * 24 * 3600)] = 24 * 3600


class ReplayInput(Input):
    """The position after which all is sent again: a `seq`, or the `Change-Seq` of a read."""

    since: Annotated[int, Meta(ge=0, le=2**63 - 1)]


class WebhookAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook without its secret. `reason` says why it is not active."""

    id: UUID
    url: str
    events: list[str]
    pipeline_id: UUID | None
    filter: Any
    description: str
    state: State
    reason: str | None
    owner_id: UUID
    failing_since: str | None
    created_at: str
    updated_at: str


class NewWebhookAnswer(WebhookAnswer, frozen=True, kw_only=True):
    """A webhook just made; `secret` is told now and never again."""

    secret: str


class SecretAnswer(msgspec.Struct, frozen=True):
    """A new secret, which is told now and never again."""

    secret: str


class ReplayAnswer(msgspec.Struct, frozen=True):
    """What is sent again: everything after `since` up to `until`."""

    since: int
    until: int


class AttemptAnswer(msgspec.Struct, frozen=True):
    """One attempt: the status that came back, or what went wrong; the first bytes of the answer."""

    number: int
    at: str
    status: int | None
    error: str | None
    milliseconds: int
    response: str


class DeliveryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One event for one webhook. `event_id` is its `webhook-id`. A pending one without `next_at` waits for an earlier
    one of the same record; a withheld one is of what the owner may not see any more.
    """

    id: UUID
    event_id: UUID
    seq: int
    type: str
    record_id: UUID | None
    state: Outcome
    attempts: list[AttemptAnswer]
    last_status: int | None
    next_at: str | None
    created_at: str
    finished_at: str | None


class WebhooksController(Controller):
    """Webhooks of the organization."""

    path = "/webhooks"
    tags = ["Webhooks"]  # noqa: RUF012

    @get(summary="List webhooks")
    async def listed(
        self,
        hooks: NamedDependency[Hooks],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
        limit: FromQuery[int] = pages.DEFAULT_LIMIT,
        cursor: FromQuery[str | None] = None,
        count: FromQuery[Count] = "none",
    ) -> Page[WebhookAnswer]:
        """The organization's webhooks."""
        limit, after = pages.check_limit(limit), pages.after_id(cursor)
        caller = Caller(principal, permissions)
        found = await webhooks.page(hooks, caller, after, limit + 1)
        total = await webhooks.count(hooks, caller) if count != "none" else None
        return pages.by_id(found, limit, lambda it: it.id, _answer, total)

    @post(summary="Make a webhook", cache_control=CacheControlHeader(no_store=True))
    async def create(
        self,
        data: JSONBody[WebhookInput],
        hooks: NamedDependency[Hooks],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> NewWebhookAnswer:
        """Makes a webhook. It tells, now and later, what its owner may see. The secret is told once."""
        wanted = Wanted(data.url, data.events, data.pipeline_id, data.filter, data.description)
        made, secret = await webhooks.create(hooks, Caller(principal, permissions), wanted)
        return NewWebhookAnswer(**msgspec.structs.asdict(_answer(made)), secret=secret)

    @get("/{webhook_id:str}", summary="Get a webhook")
    async def one(
        self,
        webhook_id: FromPath[str],
        hooks: NamedDependency[Hooks],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> WebhookAnswer:
        """One webhook, without its secret."""
        return _answer(await webhooks.get(hooks, Caller(principal, permissions), parse_id(webhook_id)))

    @patch("/{webhook_id:str}", summary="Change a webhook")
    async def change(
        self,
        webhook_id: FromPath[str],
        data: JSONBody[WebhookPatch],
        hooks: NamedDependency[Hooks],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> WebhookAnswer:
        """Changes a webhook, pauses it, or takes it up again. Who changes it owns it from then on."""
        given = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}
        return _answer(await webhooks.change(hooks, Caller(principal, permissions), parse_id(webhook_id), given))

    @delete("/{webhook_id:str}", summary="End a webhook")
    async def remove(
        self,
        webhook_id: FromPath[str],
        hooks: NamedDependency[Hooks],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> None:
        """Nothing goes there any more, and its deliveries are forgotten."""
        await webhooks.delete(hooks, Caller(principal, permissions), parse_id(webhook_id))

    @post("/{webhook_id:str}/secret/rotate", summary="Rotate a secret", status_code=200,
          cache_control=CacheControlHeader(no_store=True))  # fmt: skip
    async def rotate(
        self,
        webhook_id: FromPath[str],
        data: JSONBody[RotateInput],
        hooks: NamedDependency[Hooks],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> SecretAnswer:
        """Makes a new secret. Messages carry a signature of each secret that still holds."""
        overlap = timedelta(seconds=data.overlap_seconds)
        secret = await webhooks.rotate(hooks, Caller(principal, permissions), parse_id(webhook_id), overlap)
        return SecretAnswer(secret)

    @post("/{webhook_id:str}/test", summary="Try a webhook", status_code=202)
    async def test(
        self,
        webhook_id: FromPath[str],
        hooks: NamedDependency[Hooks],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> DeliveryAnswer:
        """Sends a message of type `webhook.test`; how it went stands in the deliveries."""
        return _delivery(await webhooks.test(hooks, Caller(principal, permissions), parse_id(webhook_id)), [])

    @post("/{webhook_id:str}/replay", summary="Replay changes", status_code=202)
    async def replay(
        self,
        webhook_id: FromPath[str],
        data: JSONBody[ReplayInput],
        hooks: NamedDependency[Hooks],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> ReplayAnswer:
        """Sends all changes after a position (again), with the `webhook-id`s that they had."""
        until = await webhooks.replay(hooks, Caller(principal, permissions), parse_id(webhook_id), data.since)
        return ReplayAnswer(data.since, until)

    @get("/{webhook_id:str}/deliveries", summary="List deliveries")
    async def deliveries(
        self,
        webhook_id: FromPath[str],
        hooks: NamedDependency[Hooks],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
        outcome: FromQuery[Outcome | None] = None,
        limit: FromQuery[int] = pages.DEFAULT_LIMIT,
        cursor: FromQuery[str | None] = None,
        count: FromQuery[Count] = "none",
    ) -> Page[DeliveryAnswer]:
        """What was sent or waits to be, the newest first, with every attempt; kept for two weeks.

        `outcome` is the `state` to choose by.
        """
        limit, before = pages.check_limit(limit), pages.after_id(cursor) if cursor else None
        caller = Caller(principal, permissions)
        place = parse_id(webhook_id)
        found, tried = await webhooks.log(hooks, caller, place, before, outcome, limit + 1)
        total = await webhooks.count_log(hooks, caller, place, outcome) if count != "none" else None
        return pages.by_id(found, limit, lambda it: it.id, lambda it: _delivery(it, tried), total)

    @post("/{webhook_id:str}/deliveries/{delivery_id:str}/redeliver", summary="Deliver again", status_code=202)
    async def redeliver(
        self,
        webhook_id: FromPath[str],
        delivery_id: FromPath[str],
        hooks: NamedDependency[Hooks],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> DeliveryAnswer:
        """Sends one delivery again at once, beside the order of its record."""
        caller = Caller(principal, permissions)
        return _delivery(await webhooks.redeliver(hooks, caller, parse_id(webhook_id), parse_id(delivery_id)), [])


def _answer(it: Webhook) -> WebhookAnswer:
    return WebhookAnswer(
        id=it.id, url=it.url, events=list(it.events), pipeline_id=it.pipeline_id, filter=it.filter,
        description=it.description, state=it.state, reason=it.reason, owner_id=it.owner_id,
        failing_since=rfc3339(it.failing_since) if it.failing_since else None, created_at=rfc3339(it.created_at),
        updated_at=rfc3339(it.updated_at),
    )  # fmt: skip


def _delivery(it: Delivery, tried: list[Attempt]) -> DeliveryAnswer:
    return DeliveryAnswer(
        id=it.id, event_id=it.event_id, seq=it.seq, type=it.kind, record_id=it.record_id, state=it.state,
        attempts=[_attempt(one) for one in tried if one.delivery_id == it.id], last_status=it.last_status,
        next_at=rfc3339(it.next_at) if it.next_at else None, created_at=rfc3339(it.created_at),
        finished_at=rfc3339(it.finished_at) if it.finished_at else None,
    )  # fmt: skip


def _attempt(it: Attempt) -> AttemptAnswer:
    return AttemptAnswer(it.number, rfc3339(it.at), it.status, it.error, it.milliseconds, it.response)
