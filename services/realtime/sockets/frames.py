"""The frames that a client sends, a Struct each; `type` names it, and unknown fields are refused."""

from typing import Annotated, Any, TypeAlias
from uuid import UUID

import msgspec

Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=63)]
OperationId: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Position: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]


class ClientFrame(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """The base of client frames."""


class Authenticate(ClientFrame, frozen=True, kw_only=True, tag="authenticate"):
    """Whose socket it is; on an open one, a newer token of the same principal."""

    token: str


class Subscribe(ClientFrame, frozen=True, kw_only=True, tag="subscribe"):
    """Asks for the changes in a channel, from after a position on; again, it replaces the filter.

    With `group_by` or `metrics` a pipeline's channel also tells the counts of its groups, as `GET …/aggregate` does.
    """

    channel: Annotated[str, msgspec.Meta(max_length=100)]
    filter: dict[str, Any] | None = None
    from_seq: Position | None = None
    group_by: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    metrics: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)] | None = None


class Unsubscribe(ClientFrame, frozen=True, kw_only=True, tag="unsubscribe"):
    """Leaves a channel."""

    channel: Annotated[str, msgspec.Meta(max_length=100)]


class FieldUpdate(ClientFrame, frozen=True, kw_only=True, tag="field_update"):
    """Sets one field. `record_id` may be left out on a socket that has exactly one record open.

    `lock_token` is that of the lock by which the client writes; left out it is that which the socket holds, if it does.
    """

    field: Name
    value: msgspec.Raw
    operation_id: OperationId
    record_id: UUID | None = None
    base_version: int | None = None
    lock_token: int | None = None


class Lock(ClientFrame, frozen=True, kw_only=True, tag="lock"):
    """Asks for a field to be written by this socket alone, until it lets go of it, leaves the record or is gone."""

    field: Name
    record_id: UUID | None = None


class Unlock(ClientFrame, frozen=True, kw_only=True, tag="unlock"):
    """Lets go of a field."""

    field: Name
    record_id: UUID | None = None


class Focus(ClientFrame, frozen=True, kw_only=True, tag="focus"):
    """Tells the others which field the user is at; null is none."""

    field: Name | None
    record_id: UUID | None = None


class Cursor(ClientFrame, frozen=True, kw_only=True, tag="cursor"):
    """Tells the others where the user's cursor is; what `position` means is the clients' business."""

    position: msgspec.Raw
    field: Name | None = None
    record_id: UUID | None = None


class Ping(ClientFrame, frozen=True, kw_only=True, tag="ping"):
    """Asks for a pong."""


AnyFrame: TypeAlias = Authenticate | Subscribe | Unsubscribe | FieldUpdate | Lock | Unlock | Focus | Cursor | Ping
