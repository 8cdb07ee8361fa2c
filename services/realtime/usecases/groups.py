"""Subscribers of a channel who are told the same: a change is judged and encoded once for all of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

import msgspec

from libs.common.errors import Invalid
from libs.common.permissions import Permissions
from services.realtime.domain import telling
from services.realtime.domain.changes import Change
from services.realtime.domain.channels import Channel
from services.realtime.domain.definitions import Definition
from services.realtime.domain.messages import Frame
from services.realtime.domain.sight import Condition, Sight, Verdict, compile_sight, judge, personal, reaches
from services.realtime.usecases.subscribers import Subscription

READ, RECORDS = "read", "records"

Known = Callable[[UUID], Definition | None]

_tree = msgspec.json.Encoder(order="deterministic")


@dataclass(frozen=True, slots=True)
class Key:
    """What tells groups of one channel apart. `user` is empty where no rule or filter depends on it."""

    permissions: Permissions
    user: str
    tree: bytes


def key_of(subscription: Subscription) -> Key:
    """The group that a subscription belongs to."""
    subscriber = subscription.subscriber
    grants = [grant for grant in subscriber.permissions.grants if grant.row_rule]
    rules = [subscription.tree, *(grant.row_rule for grant in grants)]
    own = any(personal(rule) or reaches(rule) for rule in rules)
    tree = _tree.encode(subscription.tree) if subscription.tree else b""
    return Key(subscriber.permissions, str(subscriber.principal.id) if own else "", tree)


def condition(tree: object, definition: Definition, sight: Sight, user: str) -> Condition:
    """A subscription's filter, which may name the fields that can be read; raises Invalid."""
    if reaches(tree):
        raise Invalid("A subscription's filter cannot look at other records", code="filter-reaches")
    return Condition(tree, definition.schema(sight.readable()), user)


@dataclass(slots=True)
class Group:
    """One kind of subscriber of one channel, with its members."""

    channel: Channel
    key: Key
    tree: object
    known: Known
    members: dict[Subscription, None] = field(default_factory=dict)
    _sights: dict[UUID, tuple[Definition, Sight, Condition | None]] = field(default_factory=dict)

    def tell(self, change: Change) -> list[tuple[Frame, list[Subscription]]]:
        """The frames of a change, and who gets each."""
        sight, where = self.view(change.head.pipeline_id)
        verdict = judge(change, sight, where)
        if verdict is None:
            return []
        return self._told(change, verdict, sight)

    def tell_one(self, change: Change, subscription: Subscription) -> Frame | None:
        """The frame of a change for one subscription that is catching up."""
        sight, where = self.view(change.head.pipeline_id)
        verdict = judge(change, sight, where)
        if verdict is None:
            return None
        text = self._field_update(change, verdict) or telling.frame(change, verdict, sight, self.channel.name)
        return Frame(text)

    def reads(self, name: str) -> bool:
        """Whether all members may surely read a field of their channel's pipeline."""
        pipelines = {member.pipeline_id for member in self.members}
        definitions = [self.known(one) for one in pipelines if one is not None]
        return bool(definitions) and all(d is not None and self.view(d.id)[0].always(name) for d in definitions)

    def view(self, pipeline_id: UUID) -> tuple[Sight, Condition | None]:
        """What the members may see of a pipeline, and their filter."""
        definition = self.known(pipeline_id)
        assert definition is not None
        present = self._sights.get(pipeline_id)
        if present is None or present[0] is not definition:
            present = (definition, *self._compile(definition))
            self._sights[pipeline_id] = present
        return present[1], present[2]

    def _compile(self, definition: Definition) -> tuple[Sight, Condition | None]:
        grants = self.key.permissions.alternatives(READ, RECORDS, definition.id)
        sight = compile_sight(grants, definition, self.key.user)
        if not self.tree:
            return sight, None
        try:
            return sight, condition(self.tree, definition, sight, self.key.user)
        except Invalid:
            return Sight((), definition), None

    def _told(self, change: Change, verdict: Verdict, sight: Sight) -> list[tuple[Frame, list[Subscription]]]:
        members = list(self.members)
        if text := self._field_update(change, verdict):
            operation = change.operation_id or ""
            return [(Frame(text), [one for one in members if not one.subscriber.made(operation)])]
        return [(Frame(telling.frame(change, verdict, sight, self.channel.name)), members)]

    def _field_update(self, change: Change, verdict: Verdict) -> str | None:
        if self.channel.kind != "record" or change.operation_id is None:
            return None
        return telling.field_update(change, verdict, self.channel.name)
