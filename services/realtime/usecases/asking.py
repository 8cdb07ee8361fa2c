"""Changes that only records can judge, because a row rule of the subscribers looks at other records.

They are asked for one after the other, in the name of the one principal whose group it is, and told as the record is by
then. What cannot be known (whether a record that is not visible was so before) ends the subscriptions with the order to
read anew, so that nothing is leaked and nothing silently missed.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from uuid import UUID

import msgspec

from libs.common.errors import AppError, NotFound
from services.realtime.domain import telling
from services.realtime.domain.changes import Change, Recorded
from services.realtime.domain.channels import Channel
from services.realtime.domain.messages import Frame
from services.realtime.domain.sight import Condition, Kind
from services.realtime.usecases.subscribers import Subscription

QUEUE = 1_000
REMEMBERED = 10_000

Look = Callable[[str, UUID], Awaitable[msgspec.Raw]]
Lose = Callable[[Subscription], None]


class Question(msgspec.Struct, frozen=True):
    """A change to be asked about for some members. `decisive` are the fields that rules and filter speak of first."""

    change: Change
    where: Condition | None
    decisive: frozenset[str]
    members: list[Subscription]


class Asker:
    """The questions of one group, in order."""

    def __init__(self, channel: Channel, look: Look, lose: Lose) -> None:
        self._channel = channel
        self._look = look
        self._lose = lose
        self._queue: asyncio.Queue[Question] = asyncio.Queue(QUEUE)
        self._visible: OrderedDict[UUID, None] = OrderedDict()
        self._stopped = False
        self._task: asyncio.Task[None] = asyncio.create_task(self._run())
        self.busy = False

    def put(self, question: Question) -> None:
        """Asks about a change, in its turn, and tells the members; one too many ends their subscriptions."""
        try:
            self._queue.put_nowait(question)
            self.busy = True
        except asyncio.QueueFull:
            self._give_up(question.members)

    async def idle(self) -> None:
        """Waits until everything was asked."""
        await self._queue.join()

    def stop(self) -> None:
        """Asks no more."""
        self._stopped = True
        self._task.cancel()

    async def _run(self) -> None:
        while not self._stopped:
            question = await self._queue.get()
            try:
                members = [one for one in question.members if not one.ended]
                if members:
                    await self._ask(question, members)
            except AppError:
                self._give_up(question.members)
            finally:
                self._queue.task_done()
                self.busy = not self._queue.empty()

    async def _ask(self, question: Question, members: list[Subscription]) -> None:
        change = question.change
        newest = max((one.subscriber.principal for one in members), key=lambda principal: principal.expires_at)
        shown = await self._shown(question, newest.token)
        if shown is not None:
            self._tell(change, shown, self._kind(question), members)
        elif change.head.id in self._visible or self._channel.kind == "record":
            self._visible.pop(change.head.id, None)
            kind: Kind = "record_deleted" if change.verb == "deleted" else "record_left"
            self._tell(change, telling.place(change), kind, members)
        elif not _was_surely_not(question):
            self._give_up(members)

    async def _shown(self, question: Question, token: str) -> msgspec.Raw | None:
        change, where = question.change, question.where
        if change.verb == "deleted":
            return None
        try:
            record = await self._look(token, change.head.id)
        except NotFound:
            return None
        now = Change(change.seq, change.verb, change.time, Recorded(record))
        return record if where is None or where.passes(now.after) else None

    def _kind(self, question: Question) -> Kind:
        change = question.change
        known = change.head.id in self._visible
        self._visible[change.head.id] = None
        if len(self._visible) > REMEMBERED:
            self._visible.popitem(last=False)
        if change.verb in ("created", "restored"):
            return "record_created"
        return "record_entered" if not known and question.decisive & set(change.changed) else "record_updated"

    def _tell(self, change: Change, record: msgspec.Raw, kind: Kind, members: list[Subscription]) -> None:
        text, own = telling.asked(change, record, kind, self._channel)
        frame, operation = Frame(text), change.operation_id or ""
        for subscription in members:
            if not subscription.ended and not (own and subscription.subscriber.made(operation)):
                subscription.subscriber.deliver(frame)

    def _give_up(self, members: list[Subscription]) -> None:
        for subscription in members:
            if not subscription.ended:
                self._lose(subscription)


def _was_surely_not(question: Question) -> bool:
    return was_surely_not(question.change, question.where, question.decisive)


def was_surely_not(change: Change, where: Condition | None, decisive: frozenset[str]) -> bool:
    """Whether a record that is not in view now was not so before either."""
    if change.verb in ("created", "restored"):
        return True
    if where is not None and not where.passes(change.before):
        return True
    return change.verb == "updated" and not decisive & set(change.changed)
