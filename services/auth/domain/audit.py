"""The audit log: entries that are only ever added, each bound to the one before it by a keyed hash (HMAC-SHA-256).

Who changes, takes out or puts in an entry without the key breaks the chain at that place. What the chain alone cannot
show is that its end was cut off; so a check tells the newest entry, to be compared with what was noted elsewhere.

Names, addresses and the like of people are encrypted in the text, with a key of each person's own. An erasure destroys
the salt of that key: the text stays as it is, so the chain stays whole, and nobody reads the name any more.
"""

import base64
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from libs.common.clock import rfc3339
from libs.common.identity import Principal
from services.auth.domain.people import User
from services.auth.domain.sealing import Seal

START = b""
PERSONAL = ("email", "name", "user_agent")
ERASED = "[erased]"

_MARK = "~"
_NONCE = 12

Salts = Mapping[UUID, bytes | None]
"""The salt of each person; null where they were erased."""


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


def persons(entry: Entry) -> set[UUID]:
    """Whose names an entry may tell."""
    return {party.id for party in (entry.actor, entry.target) if party is not None and party.kind == "user"}


def conceal(seal: Seal, entry: Entry, salts: Salts) -> Entry:
    """An entry with what is personal encrypted; of one who was erased nothing personal is kept."""
    ciphers = {person: AESGCM(seal.digest(salt)) for person, salt in salts.items() if salt is not None}
    return _mapped(entry, lambda person, value: _close(ciphers.get(person), value))


def reveal(seal: Seal, entry: Entry, salts: Salts) -> Entry:
    """An entry as it was, but for what was erased."""
    return _mapped(entry, lambda person, value: _open(seal, salts.get(person), value))


def _mapped(entry: Entry, of: Callable[[UUID, Any], Any]) -> Entry:
    actor, target = _person(entry.actor), _person(entry.target)
    near = target or (actor if entry.target is not None and entry.target.kind == "session" else None)
    came = actor or target
    details = entry.details if near is None else {
        name: of(near, value) if name in PERSONAL else value for name, value in entry.details.items()
    }  # fmt: skip
    return msgspec.structs.replace(
        entry, actor=_named(entry.actor, of), target=_named(entry.target, of), details=details,
        address=of(came, entry.address) if came else entry.address,
    )  # fmt: skip


def _person(party: Party | None) -> UUID | None:
    return party.id if party is not None and party.kind == "user" else None


def _named(party: Party | None, of: Callable[[UUID, Any], Any]) -> Party | None:
    if party is None or party.kind != "user" or party.name is None:
        return party
    return msgspec.structs.replace(party, name=of(party.id, party.name))


def _close(cipher: AESGCM | None, value: Any) -> Any:
    if value is None:
        return None
    if cipher is None:
        return ERASED
    nonce = secrets.token_bytes(_NONCE)
    sealed = nonce + cipher.encrypt(nonce, msgspec.json.encode(value), None)
    return _MARK + base64.b64encode(sealed).decode()


def _open(seal: Seal, salt: bytes | None, value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith(_MARK):
        return value
    if salt is None:
        return ERASED
    try:
        sealed = base64.b64decode(value[1:], validate=True)
        for key in seal.digests(salt):
            with suppress(InvalidTag):
                return msgspec.json.decode(AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], None))
    except ValueError:
        return value  # One that was never encrypted, and happens to begin alike.
    return ERASED


def is_sound(seal: Seal, kept: Kept, seq: int, before: bytes) -> bool:
    """Whether an entry is the one of that number, unchanged, after the entry of that hash."""
    document = kept.document.encode()
    if kept.hash not in seal.digests(before + document):
        return False
    entry = msgspec.json.decode(document, type=Entry)
    told = (entry.seq, entry.at, entry.action, _id(entry.actor), _id(entry.target))
    return told == (seq, rfc3339(kept.at), kept.action, kept.actor_id, kept.target_id) and kept.seq == seq


def _id(party: Party | None) -> UUID | None:
    return party.id if party else None
