"""What services hold on a person: auth asks for it page by page, and sees requests for it or for its erasure through.

`rpc.<service>.person` is answered within bounds; the cursor says where the next page goes on, so that a page which is
asked for again does no harm.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Literal
from uuid import UUID

import msgspec

from libs.common.bus import Bus

ERASED_NAME = "Erased person"
PAGE = 500


class Question(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who it is about, by id or address, what for, and where the last page ended."""

    tenant_id: UUID
    kind: Literal["export", "erasure"]
    user_id: UUID | None = None
    email: str | None = None
    cursor: str | None = None


class Page(msgspec.Struct, frozen=True, omit_defaults=True):
    """A page: what is held, each with its `kind`; how much was erased by what; and where the next page goes on."""

    items: list[dict[str, Any]] = []
    erased: dict[str, int] = {}
    cursor: str | None = None


Contributor = Callable[[Question], Awaitable[Page]]


def serve(bus: Bus, service: str, contribute: Contributor) -> None:
    """Answers for a service."""
    bus.serve(f"rpc.{service}.person", Question, contribute)
