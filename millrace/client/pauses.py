"""When to come back: so that the many who lost the same server do not come back all at once."""

from random import Random

SPREAD_SECONDS = 5.0
CAP_SECONDS = 30.0


class Pauses:
    """Full jitter: any moment of a window is as likely as any other, and the window doubles with each failure in a row.

    The first window is as long as `spread` (seconds), so a server that falls with 10,000 sockets is followed by 2,000
    handshakes a second on the others, and not by 10,000 at once. None is longer than 30 seconds or the first.
    """

    def __init__(self, spread: float = SPREAD_SECONDS, dice: Random | None = None) -> None:
        self._spread = spread
        self._dice = dice or Random()
        self._failures = 0

    def next(self) -> float:
        """Seconds to wait, after one more failure."""
        window = max(self._spread, min(CAP_SECONDS, self._spread * 2.0**self._failures))
        self._failures = min(self._failures + 1, 20)
        return self._dice.uniform(0.0, window)

    def reset(self) -> None:
        """Something came: the next failure is the first again."""
        self._failures = 0
