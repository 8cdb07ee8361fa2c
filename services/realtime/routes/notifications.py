"""`/notifications`: what the user is told, how, and what they follow."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Controller, MediaType, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.response import Response
from msgspec import Meta

from libs.common import pages
from libs.common.clock import rfc3339
from libs.common.http import Input
from libs.common.identity import Principal
from libs.common.ids import parse_id
from libs.common.permissions import Permissions
from services.realtime.domain.notifications import Digest, Follow, NoticeKind, Preferences, Way
from services.realtime.usecases import notifications
from services.realtime.usecases.noticing import shown
from services.realtime.usecases.notifications import Notices

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Unsubscribe</title>
<form method="post"><p>Do you want no more of these mails?</p><button>Unsubscribe</button></form></html>
"""
_DONE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Unsubscribed</title>
<p>You get no more of these mails.</p></html>
"""


class NotificationAnswer(msgspec.Struct, frozen=True):
    """One thing that the user is told: in words, and what it is about."""

    id: UUID
    kind: NoticeKind
    title: str
    text: str
    pipeline_id: UUID | None
    record_id: UUID | None
    data: dict[str, Any]
    created_at: str
    read_at: str | None


class NotificationPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """A page, the newest first; `unread` counts all that are not read, `count` all of the list where that was asked."""

    items: list[NotificationAnswer]
    next_cursor: str | None
    unread: int
    count: int | None = None


class ReadInput(Input):
    """What was read: some, or all up to one."""

    ids: Annotated[list[UUID], Meta(max_length=200)] | None = None
    until: UUID | None = None


class Unread(msgspec.Struct, frozen=True):
    """How many are not read."""

    unread: int


class WayInput(Input):
    """How one kind is told; a mail comes at once, or in the digest of the day or the week."""

    in_app: bool = True
    mail: bool = False
    digest: Digest = "off"


class PreferencesInput(Input):
    """How the user wants to be told; a kind that is left out is told as by default."""

    kinds: dict[NoticeKind, WayInput] = msgspec.field(default_factory=dict)
    time_zone: Annotated[str, Meta(max_length=64)] = "UTC"
    digest_hour: int = 8


class FollowInput(Input):
    """A record, or a view."""

    record_id: UUID | None = None
    view_id: UUID | None = None


class FollowAnswer(msgspec.Struct, frozen=True):
    """Something that the user follows."""

    kind: Literal["record", "view"]
    id: UUID
    pipeline_id: UUID
    name: str
    created_at: str


class Follows(msgspec.Struct, frozen=True):
    """All that the user follows."""

    items: list[FollowAnswer]


class NotificationsController(Controller):
    """Notifications of the user who asks."""

    path = "/notifications"
    tags = ["Notifications"]  # noqa: RUF012

    @get(summary="List notifications")
    async def listed(
        self,
        notices: NamedDependency[Notices],
        principal: NamedDependency[Principal],
        unread: FromQuery[bool] = False,
        limit: FromQuery[int] = pages.DEFAULT_LIMIT,
        cursor: FromQuery[str | None] = None,
        count: FromQuery[pages.Count] = "none",
    ) -> NotificationPage:
        """What the user was told in the app, the newest first; the last thousand of ninety days."""
        limit, before = pages.check_limit(limit), pages.after_id(cursor) if cursor else None
        found, new = await notifications.page(notices, principal, before, unread, limit + 1)
        page = pages.by_id(found, limit, lambda it: it.id, lambda it: NotificationAnswer(**shown(it)))
        total = await notifications.count(notices, principal, unread) if count != "none" else None
        return NotificationPage(page.items, page.next_cursor, new, total)

    @post("/read", summary="Mark as read", status_code=200)
    async def read(
        self,
        data: JSONBody[ReadInput],
        notices: NamedDependency[Notices],
        principal: NamedDependency[Principal],
    ) -> Unread:
        """Notes that some notifications, or all up to one, were read."""
        return Unread(await notifications.read(notices, principal, data.ids, data.until))

    @get("/preferences", summary="Get preferences")
    async def preferences(
        self, notices: NamedDependency[Notices], principal: NamedDependency[Principal]
    ) -> Preferences:
        """How the user wants to be told."""
        return await notifications.preferences(notices, principal)

    @put("/preferences", summary="Set preferences")
    async def prefer(
        self,
        data: JSONBody[PreferencesInput],
        notices: NamedDependency[Notices],
        principal: NamedDependency[Principal],
    ) -> Preferences:
        """Tells the user otherwise from now on."""
        kinds = {kind: Way(way.in_app, way.mail, way.digest) for kind, way in data.kinds.items()}
        return await notifications.prefer(notices, principal, Preferences(kinds, data.time_zone, data.digest_hour))

    @get("/follows", summary="List what is followed")
    async def follows(self, notices: NamedDependency[Notices], principal: NamedDependency[Principal]) -> Follows:
        """The records and views that the user follows."""
        return Follows([_follow(it) for it in await notifications.follows(notices, principal)])

    @post("/follows", summary="Follow")
    async def follow(
        self,
        data: JSONBody[FollowInput],
        notices: NamedDependency[Notices],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> FollowAnswer:
        """Follows a record, for its stages, or a view, for what comes into it."""
        return _follow(await notifications.follow(notices, principal, permissions, data.record_id, data.view_id))

    @delete("/follows/{target_id:str}", summary="Unfollow")
    async def unfollow(
        self,
        target_id: FromPath[str],
        notices: NamedDependency[Notices],
        principal: NamedDependency[Principal],
    ) -> None:
        """Follows a record or a view no more."""
        await notifications.unfollow(notices, principal, parse_id(target_id))

    @get("/unsubscribe", summary="Ask before unsubscribing", media_type=MediaType.HTML, security=[{}])
    async def ask(self, token: FromQuery[Annotated[str, Meta(max_length=200)]]) -> Response[str]:
        """The page behind the link in a mail. Following a link changes nothing, since machines follow links too."""
        return Response(_PAGE, media_type=MediaType.HTML, headers={"referrer-policy": "no-referrer"})

    @post("/unsubscribe", summary="Unsubscribe", media_type=MediaType.HTML, status_code=200, security=[{}])
    async def unsubscribe(
        self, token: FromQuery[Annotated[str, Meta(max_length=200)]], notices: NamedDependency[Notices]
    ) -> Response[str]:
        """Ends the mails that the link names, with one click and without signing in (RFC 8058)."""
        await notifications.unsubscribe(notices, token)
        return Response(_DONE, media_type=MediaType.HTML)


def _follow(it: Follow) -> FollowAnswer:
    return FollowAnswer(it.kind, it.target_id, it.pipeline_id, it.name, rfc3339(it.created_at))
