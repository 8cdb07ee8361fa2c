"""The channels that a socket may subscribe to."""

from dataclasses import dataclass
from typing import Literal, cast
from uuid import UUID

from libs.common.errors import Invalid

Kind = Literal["record", "pipeline", "tenant", "user"]

_WITH_ID = ("record", "pipeline")
_WITHOUT = ("tenant", "user")


@dataclass(frozen=True, slots=True)
class Channel:
    """`record:<id>`, `pipeline:<id>`, `tenant` or `user`; `name` is the one way to write it."""

    kind: Kind
    id: UUID | None = None

    @property
    def name(self) -> str:
        """The channel as frames call it."""
        return self.kind if self.id is None else f"{self.kind}:{self.id}"


def parse(text: str) -> Channel:
    """The channel of a frame; raises Invalid (`unknown-channel`)."""
    kind, separator, rest = text.partition(":")
    if kind in _WITHOUT and not separator:
        return Channel(cast(Kind, kind))
    if kind in _WITH_ID:
        try:
            return Channel(cast(Kind, kind), UUID(rest))
        except ValueError:
            pass
    raise Invalid("Channels are 'record:<id>', 'pipeline:<id>', 'tenant' and 'user'", code="unknown-channel")
