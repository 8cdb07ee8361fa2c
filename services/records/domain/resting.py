"""Indexes that nobody wants at the moment, and that stay for a while, since somebody may again."""


class Resting:
    """Since when each of them rests, by name."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._since)

    def names(self, now: float) -> list[str]:
        """Those that go on resting."""
        return [name for name, since in self._since.items() if now - since < self._seconds]

    def over(self, name: str, now: float) -> bool:
        """Whether one has rested long enough; one that did not rest so far begins to, unless there is no time for it.

        Of those that were not heard of for as long again after that nothing is kept.
        """
        if now - self._since.setdefault(name, now) < self._seconds:
            return False
        del self._since[name]
        self._since = {it: since for it, since in self._since.items() if now - since < 2 * self._seconds}
        return True

    def wake(self, name: str) -> bool:
        """Ends the rest of one; whether it did."""
        return self._since.pop(name, None) is not None
