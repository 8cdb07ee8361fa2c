"""Subscribers of a channel who are told the same: a change is judged and encoded once for all of them."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import msgspec

from libs.common.errors import Invalid
from libs.common.permissions import Permissions
from services.realtime.domain import telling
from services.realtime.domain.changes import Change
from services.realtime.domain.channels import Channel
from services.realtime.domain.definitions import Definition
from services.realtime.domain.messages import Frame
from services.realtime.domain.sight import Condition, Sight, Verdict, compile_sight, judge, names, personal, reaches
from services.realtime.usecases.asking import Asker, Look, Lose, Question
from services.realtime.usecases.counting import Counter
from services.realtime.usecases.subscribers import Counted, Subscription

READ, RECORDS = "read", "records"

Told = tuple[Frame, list[Subscription]]

_tree = msgspec.json.Encoder(order="deterministic")


@dataclass(frozen=True, slots=True)
class Key:
    """What tells groups of one channel apart. `user` is empty where no rule or filter depends on it."""

    permissions: Permissions
    user: str
    tree: bytes
    counted: Counted | None = None


def key_of(subscription: Subscription) -> Key:
    """The group that a subscription belongs to."""
    subscriber = subscription.subscriber
    grants = [grant for grant in subscriber.permissions.grants if grant.row_rule]
    rules = [subscription.tree, *(grant.row_rule for grant in grants)]
    own = any(personal(rule) or reaches(rule) for rule in rules)
    tree = _tree.encode(subscription.tree) if subscription.tree else b""
    return Key(subscriber.permissions, str(subscriber.principal.id) if own else "", tree, subscription.counted)


@dataclass(frozen=True, slots=True)
class World:
    """What groups stand on: known definitions, a question to records, and how a subscription is lost."""

    known: Callable[[UUID], Definition | None]
    look: Look
    lose: Lose


def condition(tree: object, definition: Definition, sight: Sight, user: str) -> Condition:
    """A subscription's filter, which may name the fields that can be read; raises Invalid."""
    if reaches(tree, definition.parts):
        raise Invalid("What is told live is not filtered by what other records are", code="filter-reaches")
    return Condition(tree, definition.schema(sight.readable()), user, definition.time_zone)


def ruling(permissions: Permissions, pipeline_id: UUID) -> frozenset[str]:
    """The fields of a record that the rules for its pipeline speak of first."""
    grants = permissions.alternatives(READ, RECORDS, pipeline_id)
    return frozenset(name for grant in grants for name in names(grant.row_rule))


class Group:
    """One kind of subscriber of one channel, with its members."""

    def __init__(self, channel: Channel, key: Key, tree: object, world: World) -> None:
        self.channel = channel
        self.key = key
        self.members: dict[Subscription, None] = {}
        self._tree = tree
        self._world = world
        self._sights: dict[UUID, tuple[Definition, Sight, Condition | None]] = {}
        self._asker: Asker | None = None
        self.counter: Counter | None = None

    def tell(self, change: Change, only: Subscription | None = None) -> list[Told]:
        """The frames of a change, and who gets each: the members, or the only one that is catching up.

        Where it must be asked for first, it is told later, in its turn.
        """
        sight, where = self.view(change.head.pipeline_id)
        members = list(self.members) if only is None else [only]
        if sight.asks:
            if self.counter is not None:
                self.counter.stir()
            self._ask(change, where, members)
            return []
        verdict = judge(change, sight, where)
        if self.counter is not None and verdict is not None and self.counter.moved(change, verdict, sight):
            self.counter.stir()
        return [] if verdict is None else [self._told(change, verdict, sight, members)]

    @property
    def asking(self) -> bool:
        """Whether something was not told yet because it is being asked for."""
        return self._asker is not None and self._asker.busy

    async def asked(self) -> None:
        """Waits until all that had to be asked for is told."""
        if self._asker is not None:
            await self._asker.idle()

    def close(self) -> None:
        """Asks and counts no more."""
        if self.counter is not None:
            self.counter.stop()
        if self._asker is not None:
            self._asker.stop()

    def reads(self, name: str) -> bool:
        """Whether all members may surely read a field of their channel's pipeline."""
        pipelines = {member.pipeline_id for member in self.members}
        definitions = [self._world.known(one) for one in pipelines if one is not None]
        return bool(definitions) and all(d is not None and self.view(d.id)[0].always(name) for d in definitions)

    def view(self, pipeline_id: UUID) -> tuple[Sight, Condition | None]:
        """What the members may see of a pipeline, and their filter."""
        definition = self._world.known(pipeline_id)
        assert definition is not None
        present = self._sights.get(pipeline_id)
        if present is None or present[0] is not definition:
            present = (definition, *self._compile(definition))
            self._sights[pipeline_id] = present
        return present[1], present[2]

    def _compile(self, definition: Definition) -> tuple[Sight, Condition | None]:
        grants = self.key.permissions.alternatives(READ, RECORDS, definition.id)
        sight = compile_sight(grants, definition, self.key.user)
        if not self._tree:
            return sight, None
        try:
            return sight, condition(self._tree, definition, sight, self.key.user)
        except Invalid:
            return Sight((), definition), None

    def _told(self, change: Change, verdict: Verdict, sight: Sight, members: list[Subscription]) -> Told:
        text = telling.field_update(change, verdict, self.channel.name) if self.channel.kind == "record" else None
        if text is None:
            return Frame(telling.frame(change, verdict, sight, self.channel.name)), members
        operation = change.operation_id or ""
        return Frame(text), [one for one in members if not one.subscriber.made(operation)]

    def _ask(self, change: Change, where: Condition | None, members: list[Subscription]) -> None:
        if self._asker is None:
            self._asker = Asker(self.channel, self._world.look, self._world.lose)
        decisive = ruling(self.key.permissions, change.head.pipeline_id) | (where.names if where else frozenset())
        self._asker.put(Question(change, where, decisive, members))
