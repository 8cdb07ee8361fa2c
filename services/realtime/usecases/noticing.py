"""Who is told of a change: those whom it concerns and who may read what it says, as they want to be told."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from libs.common import clock, outbox
from libs.common.errors import Invalid
from libs.common.ids import new_id
from libs.common.postgres import Connection, Database
from services.realtime.domain import events, notifications
from services.realtime.domain.definitions import Definition
from services.realtime.domain.messages import Notified, encode
from services.realtime.domain.noticing import Concern, concerns
from services.realtime.domain.notifications import (
    MAX_MAILS_PER_HOUR,
    MAX_TOLD,
    OVERFLOW,
    Follow,
    MailState,
    NoticeKind,
    Notification,
    Preferences,
    Way,
)
from services.realtime.domain.sight import Verdict
from services.realtime.domain.unsubscribing import Digest, Unsubscribing
from services.realtime.storage import notifications as store
from services.realtime.usecases.definitions import Definitions
from services.realtime.usecases.following import Happened
from services.realtime.usecases.link import Voice
from services.realtime.usecases.owners import Owner, Owners


class Notifier:
    """Writes the notifications of changes, and tells those who are here."""

    def __init__(
        self, database: Database, definitions: Definitions, owners: Owners, voice: Voice, digest: Digest
    ) -> None:
        self._database = database
        self._definitions = definitions
        self._owners = owners
        self._voice = voice
        self._digest = digest

    async def take(self, tenant_id: UUID, batch: Sequence[Happened]) -> None:
        """Tells people of some changes; told again, they are not told twice."""
        found = {it.change.head.pipeline_id for it in batch}
        definitions = {it: await self._definitions.get_or_bare(tenant_id, it) for it in found}
        async with self._database.tenant(tenant_id) as connection:
            follows = await store.followers(connection, tenant_id, {it.change.head.id for it in batch}, found)
        asked = [(it, concern) for it in batch for concern in self._concerns(it, definitions, follows)]
        watched = [(it, follow) for it in batch for follow in follows if _watches(follow, it)]
        people = {concern.user_id for _, concern in asked} | {follow.user_id for _, follow in watched}
        if not people:
            return
        owners = await self._owners.find(tenant_id, people)
        new = [
            *(note for it, concern in asked if (note := _concerned(owners, definitions, it, concern)) is not None),
            *(note for it, follow in watched if (note := _entered(owners, definitions, it, follow)) is not None),
        ]
        await self.tell(tenant_id, new)

    def _concerns(self, it: Happened, definitions: dict[UUID, Definition], follows: Iterable[Follow]) -> list[Concern]:
        record = it.change.head.id
        following = frozenset(one.user_id for one in follows if one.kind == "record" and one.target_id == record)
        actor = it.change.actor.id if it.change.actor else None
        found = concerns(it.change, definitions[it.change.head.pipeline_id], following)
        return [concern for concern in found if concern.user_id != actor][:MAX_TOLD]

    async def tell(self, tenant_id: UUID, new: Sequence[Notification]) -> None:
        """Writes notifications as their people want them, and tells those who are here."""
        if not new:
            return
        async with self._database.tenant(tenant_id) as connection:
            told = await self.write(connection, tenant_id, new)
        for it in told:
            if it.in_app:
                await self._voice.notify(tenant_id, it.user_id, encode(Notified(notification=shown(it))))

    async def write(self, connection: Connection, tenant_id: UUID, new: Sequence[Notification]) -> list[Notification]:
        """Writes notifications in a transaction that is open; those that are new."""
        people = sorted({it.user_id for it in new})
        wishes = await store.all_preferences(connection, tenant_id, people)
        mailed = await store.count_mails(connection, tenant_id, people)
        told = []
        for it in sorted(new, key=lambda it: it.user_id):
            wish = wishes.get(it.user_id, Preferences())
            wanted = _as_wished(it, wish, mailed[it.user_id])
            if (wanted.in_app or wanted.mail != "none") and await store.insert(connection, tenant_id, wanted):
                told.append(wanted)
                mailed[it.user_id] += wanted.mail == "asked"
                if wanted.mail == "digest":
                    await store.due_digest(connection, tenant_id, it.user_id, _due(wish.way(it.kind), wish))
        for user_id in sorted({it.user_id for it in told}):
            await store.forget(connection, tenant_id, user_id)
        mails = [self._mail(tenant_id, it) for it in told if it.mail == "asked"]
        await outbox.record(connection, tenant_id, mails)
        return told

    def _mail(self, tenant_id: UUID, it: Notification) -> events.NewEvent:
        said = notifications.line(it)
        token = Unsubscribing(tenant_id, it.user_id, it.kind).token(self._digest)
        return events.mail_due(it.id, events.MailData(it.user_id, said, [said], token))


def shown(it: Notification) -> dict[str, Any]:
    """A notification as the API and the sockets show it."""
    return {
        "id": it.id, "kind": it.kind, "title": it.title, "text": notifications.line(it), "pipeline_id": it.pipeline_id,
        "record_id": it.record_id, "data": it.data, "created_at": clock.rfc3339(it.created_at),
        "read_at": clock.rfc3339(it.read_at) if it.read_at else None,
    }  # fmt: skip


def _as_wished(it: Notification, wish: Preferences, mailed: int) -> Notification:
    """As the person wants it; beyond so many mails in an hour, the rest comes together in one."""
    way = wish.way(it.kind)
    mail: MailState = "digest" if way.mail and mailed >= MAX_MAILS_PER_HOUR else way.mail_state
    return msgspec.structs.replace(it, in_app=way.in_app, mail=mail)


def _due(way: Way, wish: Preferences) -> datetime:
    now = clock.now()
    return now + OVERFLOW if way.digest == "off" else wish.next_digest(now)


def _watches(follow: Follow, it: Happened) -> bool:
    actor = it.change.actor
    own = actor is not None and actor.id == follow.user_id
    return follow.kind == "view" and follow.pipeline_id == it.change.head.pipeline_id and not own


def _concerned(
    owners: dict[UUID, Owner], definitions: dict[UUID, Definition], it: Happened, concern: Concern
) -> Notification | None:
    """What somebody is told whom a field concerns, where they may read that field of the record."""
    owner, definition = owners.get(concern.user_id), definitions[it.change.head.pipeline_id]
    verdict = owner.judge(it.change, definition) if owner else None
    if owner is None or verdict is None or verdict.kind == "record_left" or not verdict.mask.covers(concern.field):
        return None
    more = {"field": concern.field} | ({"stage": concern.stage} if concern.kind == "stage_changed" else {})
    return _note(owner, definition, it, verdict, concern.kind, more)


def _entered(
    owners: dict[UUID, Owner], definitions: dict[UUID, Definition], it: Happened, follow: Follow
) -> Notification | None:
    """What somebody is told who follows a view that a record came into."""
    owner, definition = owners.get(follow.user_id), definitions[it.change.head.pipeline_id]
    if owner is None:
        return None
    try:
        verdict = owner.judge(it.change, definition, owner.where(follow.filter, definition))
    except Invalid:
        return None
    if verdict is None or verdict.kind not in ("record_created", "record_entered"):
        return None
    return _note(
        owner, definition, it, verdict, "view_entered", {"view": follow.name, "view_id": str(follow.target_id)}
    )


def _note(
    owner: Owner, definition: Definition, it: Happened, verdict: Verdict, kind: NoticeKind, more: dict[str, Any]
) -> Notification:
    title = it.change.after.get("title") if owner.sight(definition).titled(verdict.mask) else ""
    return Notification(
        id=new_id(), user_id=owner.id, event_id=it.event_id, kind=kind, title=str(title or ""),
        pipeline_id=definition.id, record_id=it.change.head.id, data=notifications.said(it.change.actor) | more,
        created_at=clock.now(),
    )  # fmt: skip
