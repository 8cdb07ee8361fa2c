"""Who is at a document: what clients say of themselves, through which socket, and how long it counts."""

import time
from dataclasses import dataclass

from libs.common.errors import RateLimited
from services.realtime.domain.documents import State

STATE_SECONDS = 30.0
"""After so long without a word a client on another node is taken to have left, as clients do among themselves."""
MAX_CLIENTS = 10


@dataclass(slots=True)
class Spoken:
    """What a client says of itself, through which socket (none: another node's) and whose, and when it spoke."""

    state: State
    member: str
    owner: str
    at: float


class Awareness:
    """What is known of the clients of one document."""

    def __init__(self) -> None:
        self._states: dict[int, Spoken] = {}

    def speak(self, member: str, owner: str, states: list[State]) -> list[State]:
        """Takes in what a socket says of its clients; what of it is to be told. Raises RateLimited."""
        known = {client for client, one in self._states.items() if one.member == member}
        if len(known | {one.client for one in states if one.state != "null"}) > MAX_CLIENTS:
            raise RateLimited(f"At most {MAX_CLIENTS} clients speak through one socket", code="too-many-clients")
        return [one for one in states if self._takes(one, member, owner)]

    def hear(self, states: tuple[State, ...]) -> list[State]:
        """Takes in what another node tells; what of it is to be told here."""
        return [one for one in states if self._takes(one, "", "")]

    def leave(self, member: str) -> list[State]:
        """Forgets the clients of a socket; what the others are told of that."""
        gone = [one.state for one in self._states.values() if one.member == member]
        for state in gone:
            del self._states[state.client]
        return [State(state.client, state.clock + 1, "null") for state in gone]

    def own(self) -> list[State]:
        """The clients of this node's sockets."""
        return [one.state for one in self._states.values() if one.member]

    def present(self) -> list[State]:
        """All clients that are there."""
        oldest = time.monotonic() - STATE_SECONDS
        for client in [client for client, one in self._states.items() if not one.member and one.at < oldest]:
            del self._states[client]
        return [one.state for one in self._states.values()]

    def _takes(self, state: State, member: str, owner: str) -> bool:
        """Notes what is said of a client, unless another speaks for it or it is old; whether it is to be told."""
        known = self._states.get(state.client)
        if known is not None and (known.state.clock > state.clock or (known.member and known.owner != owner)):
            return False
        if state.state == "null":
            self._states.pop(state.client, None)
        else:
            self._states[state.client] = Spoken(state, member, owner, time.monotonic())
        return True
