"""A circuit breaker (Nygard, "Release It!"): opens when a service cannot be reached, then lets one probe through."""

from collections.abc import Callable

THRESHOLD = 3
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 4.0


class Breaker:
    """Closed: all pass. Open: none pass until the pause is over. Then one probe decides. Pauses double."""

    __slots__ = ("_clock", "_failures", "_open_until", "_pause", "_probing")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures = 0
        self._pause = FIRST_PAUSE
        self._open_until = 0.0
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether requests are refused at present."""
        return self._failures >= THRESHOLD

    def refusal(self) -> float | None:
        """None lets the request pass; a number refuses it and is the wait in seconds."""
        if self._failures < THRESHOLD:
            return None
        wait = self._open_until - self._clock()
        if wait <= 0 and not self._probing:
            self._probing = True
            return None
        return max(wait, FIRST_PAUSE)

    def succeeded(self) -> None:
        """The service was reached."""
        self._failures = 0
        self._pause = FIRST_PAUSE
        self._probing = False

    def undecided(self) -> None:
        """A request has left; where it was the probe and told nothing, another may try."""
        self._probing = False

    def failed(self) -> None:
        """The service could not be reached."""
        self._failures += 1
        self._probing = False
        if self._failures >= THRESHOLD:
            self._open_until = self._clock() + self._pause
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
