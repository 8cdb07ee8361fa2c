"""Users of whom no event has told yet: whoever names one asks auth before that is refused."""

import time
from collections.abc import Collection
from typing import TypeVar
from uuid import UUID

import msgspec

from libs.common.bus import Bus

T = TypeVar("T", UUID, str)
MAX_ASKED = 10_000
AT_ONCE = 1000
ABSENT_SECONDS = 5.0
CAPACITY = 50_000


class Person(msgspec.Struct, frozen=True):
    """A user as auth knows them."""

    id: UUID
    name: str


class _Question(msgspec.Struct):
    tenant_id: UUID
    user_ids: list[UUID]
    names: list[str]


class _Answer(msgspec.Struct, frozen=True):
    users: list[Person]


class Strangers(Exception):
    """Users are named who were not heard of; a transaction asks nobody, so it ends, and begins anew when auth has
    been asked.
    """

    def __init__(self, ids: Collection[UUID] = (), names: Collection[str] = ()) -> None:
        self.ids = ids
        self.names = names
        super().__init__()


class Met:
    """What one caller has asked for already: people, of whom some are nobody, and types of relationships."""

    def __init__(self) -> None:
        self.people: dict[UUID, Person] = {}
        self._asked: set[UUID | str] = set()
        self._types: set[tuple[str, UUID, UUID]] = set()

    def unasked(self, named: Collection[T]) -> set[T]:
        """Those of them for whom nobody has asked yet."""
        return {it for it in named if it not in self._asked}

    def first(self, kind: tuple[str, UUID, UUID]) -> bool:
        """Whether nobody has asked yet whether a type of relationship joins these pipelines by now."""
        new = kind not in self._types
        self._types.add(kind)
        return new

    def by_name(self, names: Collection[str]) -> dict[str, str]:
        """The ids of those who go by these names, where only one does."""
        found: dict[str, list[UUID]] = {}
        for person in self.people.values():
            found.setdefault(person.name.lower(), []).append(person.id)
        single = {name: ids[0] for name, ids in found.items() if len(ids) == 1}
        return {name: str(single[name.lower()]) for name in names if name.lower() in single}

    def note(self, asked: Strangers, people: Collection[Person]) -> None:
        """Takes in what auth has answered."""
        self._asked |= {*asked.ids, *asked.names}
        self.people |= {it.id: it for it in people}


class People:
    """Asks auth who there is; that somebody is nobody is remembered for a moment, as no id is given twice."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._absent: dict[tuple[UUID, UUID], float] = {}

    def absent(self, tenant_id: UUID, user_id: UUID) -> bool:
        """Whether auth said just now that there is no such user."""
        return self._absent.get((tenant_id, user_id), 0.0) > time.monotonic()

    async def meet(self, tenant_id: UUID, strangers: Strangers, met: Met) -> None:
        """Asks for them, a thousand at once. Ids grow with time, so of too many those that cannot be new are nobody;
        where auth is away nobody can tell, which is `Unavailable`.
        """
        ids, names = sorted(strangers.ids, reverse=True)[:MAX_ASKED], sorted(strangers.names)[:MAX_ASKED]
        found: list[Person] = []
        for begin in range(0, max(len(ids), len(names)), AT_ONCE):
            part = slice(begin, begin + AT_ONCE)
            question = _Question(tenant_id, ids[part], names[part])
            found += (await self._bus.request("rpc.auth.users", question, _Answer)).users
        met.note(strangers, found)
        self._remember(tenant_id, set(ids) - {person.id for person in found})

    def _remember(self, tenant_id: UUID, absent: set[UUID]) -> None:
        if len(self._absent) + len(absent) > CAPACITY:
            self._absent.clear()
        until = time.monotonic() + ABSENT_SECONDS
        self._absent |= {(tenant_id, user_id): until for user_id in absent}
