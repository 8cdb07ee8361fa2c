"""Where a change comes from: which way, which client, and who acted in somebody's name."""

from contextvars import ContextVar
from uuid import UUID

import msgspec

from libs.common.identity import Principal

MAX_AGENT = 200


class Acting(msgspec.Struct, frozen=True):
    """Who acted in the name of a line's actor."""

    id: UUID
    name: str


class Origin(msgspec.Struct, frozen=True, omit_defaults=True):
    """What history keeps of a client: the way it came (http, socket, job, share, form), what it calls itself, the id of
    the link, form or job that it came by, and who acted in somebody's name.
    """

    via: str
    agent: str | None = None
    id: UUID | None = None
    acting: Acting | None = None


CURRENT: ContextVar[Origin | None] = ContextVar("origin", default=None)
"""The origin of what the task at hand does; what nobody asked for in a request is a job's."""

_encoder = msgspec.json.Encoder()


def of_agent(header: bytes | None) -> Origin:
    """The origin of a request, by its `User-Agent`."""
    text = None if header is None else header.decode("latin-1").strip()[:MAX_AGENT].replace("\0", "")
    return Origin("http", text or None)


def noted(by: Principal) -> str:
    """The origin of a change that a principal makes now, as JSON text."""
    origin = CURRENT.get() or Origin("job")
    if by.actor is not None:
        origin = msgspec.structs.replace(origin, acting=Acting(by.actor.sub, by.actor.name))
    return _encoder.encode(origin).decode()
