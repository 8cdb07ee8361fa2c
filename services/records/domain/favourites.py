"""What is asked so often that a statement of its own, which the database keeps planned, is worth its place."""

from collections.abc import Hashable


class Favourites:
    """The few of very many questions that make up most of what is asked (Misra and Gries).

    A connection keeps so many statements planned, for all that is done on it. If each pipeline had one of its own, they
    would push out one another and all else; so only `room` questions have, and only after they were asked `often`. What
    is asked less than others loses its place to them.
    """

    def __init__(self, room: int = 24, often: int = 4, most: int = 1000) -> None:
        self._room = room
        self._often = often
        self._most = most
        self._counts: dict[Hashable, int] = {}

    def ask(self, question: Hashable) -> bool:
        """Counts a question; whether it is among them."""
        count = self._counts.get(question, 0)
        if count or len(self._counts) < self._room:
            self._counts[question] = min(count + 1, self._most)
            return count >= self._often
        self._counts = {other: it - 1 for other, it in self._counts.items() if it > 1}
        return False
