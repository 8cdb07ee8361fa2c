"""The audit log: entries that are only ever added, each bound to the one before it by a keyed hash (HMAC-SHA-256).

Who changes, takes out or puts in an entry without the key breaks the chain at that place. What the chain alone cannot
show is that its end was cut off; so a check tells the newest entry, to be compared with what was noted elsewhere.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from libs.common.clock import rfc3339
from libs.common.identity import Principal
from services.auth.domain.people import User
from services.auth.domain.sealing import Seal

START = b""


class Party(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who did something, or what it was done to."""

    kind: str
    id: UUID
    name: str | None = None


class Entry(msgspec.Struct, frozen=True):
    """An entry as it is written; `actor` is null where an operator or the platform itself did it."""

    seq: int
    at: str
    action: str
    actor: Party | None
    target: Party | None
    address: str | None
    details: dict[str, Any]


class Kept(msgspec.Struct, frozen=True):
    """An entry as it is stored: its text, its hash, and what of it is searched by."""

    seq: int
    at: datetime
    action: str
    actor_id: UUID | None
    target_id: UUID | None
    document: str
    hash: bytes


class Filters(msgspec.Struct, frozen=True):
    """Which entries; None leaves open. `action` may end in `*`."""

    action: str | None = None
    actor_id: UUID | None = None
    target_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


_encode = msgspec.json.Encoder(order="deterministic").encode


def of_principal(principal: Principal) -> Party:
    """The one who asks, as an actor."""
    return Party(principal.kind, principal.id, principal.name)


def of_user(user: User) -> Party:
    """A user, as actor or target."""
    return Party("user", user.id, user.name)


def keep(seal: Seal, entry: Entry, at: datetime, before: bytes) -> Kept:
    """An entry bound to the hash of the one before."""
    document = _encode(entry)
    actor, target = (party.id if party else None for party in (entry.actor, entry.target))
    return Kept(entry.seq, at, entry.action, actor, target, document.decode(), seal.digest(before + document))


def is_sound(seal: Seal, kept: Kept, seq: int, before: bytes) -> bool:
    """Whether an entry is the one of that number, unchanged, after the entry of that hash."""
    document = kept.document.encode()
    if kept.hash != seal.digest(before + document):
        return False
    entry = msgspec.json.decode(document, type=Entry)
    told = (entry.seq, entry.at, entry.action, _id(entry.actor), _id(entry.target))
    return told == (seq, rfc3339(kept.at), kept.action, kept.actor_id, kept.target_id) and kept.seq == seq


def _id(party: Party | None) -> UUID | None:
    return party.id if party else None
