"""Who gets frames, and what of: a subscriber is a socket as the rest of the service sees it."""

from collections.abc import Mapping
from typing import Protocol
from uuid import UUID

import msgspec

from libs.common.filters.renaming import renamed_condition, renamed_path
from libs.common.identity import Principal
from libs.common.permissions import Permissions
from services.realtime.domain.channels import Channel
from services.realtime.domain.messages import Frame


class Subscriber(Protocol):
    """One open, authenticated connection."""

    id: str
    principal: Principal
    permissions: Permissions

    def deliver(self, frame: Frame) -> None:
        """Sends a frame, or queues it, and never waits."""

    def made(self, operation_id: str) -> bool:
        """Whether the connection itself asked for this operation."""

    async def ready(self) -> None:
        """Waits until what was queued is sent."""


class Counted(msgspec.Struct, frozen=True):
    """What a subscriber wants counted besides: by which fields (with commas), and which metrics of each group."""

    pipeline_id: UUID
    tree: bytes
    group_by: str | None
    metrics: str

    @property
    def fields(self) -> frozenset[str]:
        """The fields that are grouped by or measured, of a path the first step."""
        grouped = [name.partition(":")[0] for name in (self.group_by or "").split(",")]
        measured = [name.partition(":")[2] for name in self.metrics.split(",")]
        return frozenset(name.strip().partition(".")[0] for name in (*grouped, *measured)) - {""}

    def renamed(self, renames: Mapping[str, str]) -> "Counted":
        """The same where fields go by other names."""
        tree = renamed_condition(msgspec.json.decode(self.tree), renames) if self.tree else None
        groups = [name.strip().partition(":") for name in (self.group_by or "").split(",")]
        by = ",".join(f"{renamed_path(path, renames)}{colon}{part}" for path, colon, part in groups)
        metrics = [name.strip().partition(":") for name in self.metrics.split(",")]
        of = ",".join(f"{what}{colon}{renamed_path(path, renames)}" for what, colon, path in metrics)
        return Counted(self.pipeline_id, msgspec.json.encode(tree) if tree else b"", by or None, of)


class Subscription:
    """A subscriber's interest in a channel; `pipeline_id` is that of the channel's record or pipeline.

    `tree` is the filter as it was sent. Changes up to `after` are known to the subscriber. It is `live` once it has
    caught up, and `ended` when it was left or lost. `counted` is what is to be counted besides, if anything is.
    """

    __slots__ = ("after", "channel", "counted", "ended", "live", "pipeline_id", "subscriber", "tree")

    def __init__(
        self, subscriber: Subscriber, channel: Channel, pipeline_id: UUID | None = None, tree: object = None,
        counted: Counted | None = None,
    ) -> None:  # fmt: skip
        self.subscriber = subscriber
        self.channel = channel
        self.pipeline_id = pipeline_id
        self.tree = tree
        self.counted = counted
        self.after = 0
        self.live = False
        self.ended = False

    def rename(self, renames: Mapping[str, str]) -> bool:
        """Speaks of fields by their new names; whether it has spoken of any of them."""
        tree = renamed_condition(self.tree, renames)
        counted = self.counted and self.counted.renamed(renames)
        same = (tree, counted) == (self.tree, self.counted)
        self.tree, self.counted = tree, counted
        return not same
