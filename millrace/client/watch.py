"""Changes of records, followed through breaks: no change is missed, and none comes twice.

A socket that breaks is opened again after a pause that is spread and grows (`pauses`), and goes on from the position of
the last change. A server that ends says itself when to come back. Only where the platform cannot tell any more what was
missed comes a change of the kind `resync`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from random import Random
from typing import Any, Literal
from uuid import UUID

import msgspec
from websockets.exceptions import ConnectionClosed, InvalidStatus

from millrace.client.api import Api, ApiError
from millrace.client.live import Frame, Live, NotHeard
from millrace.client.pauses import SPREAD_SECONDS, Pauses
from millrace.client.records import Record

UNAUTHENTICATED = 4401
PERMANENT = frozenset({"forbidden", "not-found", "unknown-channel", "validation-failed", "filter-reaches"})

Kind = Literal["created", "updated", "entered", "left", "deleted", "resync"]


class Change(msgspec.Struct, frozen=True):
    """One change, at its position. `record` is null where it may not, or cannot, be shown.

    After `resync`, which has no `id`, what is known is to be read anew before the next change is asked for.
    """

    kind: Kind
    seq: int
    id: UUID | None = None
    record: Record | None = None
    changed: tuple[str, ...] = ()


class Refused(Exception):
    """The platform refuses the subscription, and will do so again."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class _Again(Exception):
    """Another socket is needed: after so many seconds, where the server says so."""

    def __init__(self, seconds: float | None = None, *, renew: bool = False) -> None:
        super().__init__()
        self.seconds = seconds
        self.renew = renew


async def watch(
    api: Api,
    channel: str,
    *,
    where: dict[str, Any] | None = None,
    since: int | None = None,
    spread: float = SPREAD_SECONDS,
    dice: Random | None = None,
) -> AsyncIterator[Change]:
    """The changes in a channel (`pipeline:<id>`, `record:<id>`, `tenant`) after a position, or from now on, for ever.

    `where` is a filter tree, `since` the position of a read (`api.position`) or of the last change. After a
    break it comes back at any moment of `spread` seconds, drawn by `dice`. Raises Refused.
    """
    position, pauses = since, Pauses(spread, dice)
    while True:
        try:
            async with Live.open(api.gateway, api.token) as live:
                async for change in _changes(live, channel, where, position):
                    pauses.reset()
                    if isinstance(change, int):
                        position = change
                        continue
                    position = change.seq
                    yield change
        except _Again as again:
            pause = pauses.next() if again.seconds is None else again.seconds
            if again.renew:
                with suppress(ApiError):
                    await api.renew()
        except (ConnectionClosed, InvalidStatus, NotHeard, OSError) as error:
            pause = pauses.next()
            if isinstance(error, ConnectionClosed) and error.rcvd is not None and error.rcvd.code == UNAUTHENTICATED:
                with suppress(ApiError):
                    await api.renew()
        await asyncio.sleep(pause)


async def _changes(
    live: Live, channel: str, where: dict[str, Any] | None, position: int | None
) -> AsyncIterator[Change | int]:
    """The changes that one socket brings, and the position at which it begins."""
    await _subscribe(live, channel, where, position)
    while True:
        frame = await live.receive()
        match frame["type"]:
            case "subscribed":
                yield frame["seq"]
            case "resync_required":
                yield Change("resync", frame["seq"])
                await _subscribe(live, channel, where, frame["seq"])
            case "reconnect":
                raise _Again(frame["after_ms"] / 1000)
            case "error":
                _judge(frame)
            case _:
                if (change := change_of(frame)) is not None:
                    yield change


async def _subscribe(live: Live, channel: str, where: dict[str, Any] | None, position: int | None) -> None:
    frame: Frame = {"type": "subscribe", "channel": channel}
    if where is not None:
        frame["filter"] = where
    if position is not None:
        frame["from_seq"] = position
    await live.send(**frame)


def _judge(frame: Frame) -> None:
    """Raises what an error means for the subscription."""
    if frame["code"] in PERMANENT:
        raise Refused(frame["code"], frame["detail"])
    raise _Again(renew=frame["code"] in ("token-expired", "unauthenticated"))


def change_of(frame: Frame) -> Change | None:
    """The change that a frame tells of; None where it tells of something else."""
    kind, seq = frame["type"], frame.get("seq")
    if kind == "field_update":
        return Change("updated", frame["seq"], UUID(frame["record_id"]), None, (frame["field"],))
    if not kind.startswith("record_") or seq is None:
        return None
    shown = frame["record"]
    record = msgspec.convert(shown, Record) if "data" in shown else None
    verb: Kind = msgspec.convert(kind.removeprefix("record_"), Kind)
    return Change(verb, seq, UUID(shown["id"]), record, tuple(frame.get("changed", ())))
