"""What is allowed: so many requests a second for long, and so many at once."""

import msgspec


class Policy(msgspec.Struct, frozen=True):
    """A limit by name: `rate` requests a second, `burst` at once. `lease` is the most that is leased at a time."""

    name: str
    rate: float
    burst: int

    @property
    def lease(self) -> int:
        """A tenth of a second's worth: few questions to Redis, and little that another gateway has to miss."""
        return max(1, min(1000, int(self.rate / 10), self.burst // 4))

    @property
    def interval(self) -> int:
        """Microseconds per request."""
        return max(1, round(1_000_000 / self.rate))

    @property
    def header(self) -> bytes:
        """The policy as an item of `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10)."""
        return f'"{self.name}";q={self.burst};w={max(1, round(self.burst / self.rate))}'.encode()
