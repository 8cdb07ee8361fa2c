"""The instances of a service, and which of them is asked next: the one with the least under way.

An instance that stands still gathers requests and so gets no more; one that cannot be reached is left out by its
breaker until a connection to it succeeds, which is tried in the background while others answer.
"""

import asyncio
import ssl
from collections.abc import Callable, Collection, Sequence

from gateway.upstream.pool import CONNECT_SECONDS, Upstream

Load = Callable[[Upstream], int]


def busy(upstream: Upstream) -> int:
    """Requests under way."""
    return upstream.in_flight + upstream.waiting


def held(upstream: Upstream) -> int:
    """Open sockets."""
    return upstream.sockets


class Service:
    """One service by name: its instances, of which there is at least one."""

    def __init__(self, name: str, instances: Sequence[Upstream]) -> None:
        self.name = name
        self.instances = tuple(instances)
        self.only = self.instances[0] if len(self.instances) == 1 else None
        self._turn = 0

    @classmethod
    def at(
        cls, name: str, urls: Sequence[str], loop: asyncio.AbstractEventLoop, tls: ssl.SSLContext | None = None
    ) -> "Service":
        """A service at these addresses."""
        return cls(name, [Upstream(name, url, loop, tls) for url in urls])

    def choose(self, load: Load = busy, tried: Collection[Upstream] = ()) -> Upstream | None:
        """The instance with the least to do whose breaker is closed; null where there is none but those tried.

        Among equals it goes round.
        """
        self._turn += 1
        count = len(self.instances)
        ring = (self.instances[(self._turn + place) % count] for place in range(count))
        able = [one for one in ring if one not in tried and not one.breaker.is_open]
        return min(able, key=load) if able else None

    def admit(self, load: Load = busy) -> tuple[Upstream, float | None]:
        """The instance to be asked, and the seconds to wait where none may be: a breaker that lets a probe pass does.

        What is admitted to an open breaker is its probe.
        """
        if self.only is not None:
            return self.only, self.only.breaker.refusal()
        if (found := self.choose(load)) is not None:
            return found, None
        waits: list[float] = []
        for one in self.instances:
            if (wait := one.breaker.refusal()) is None:
                return one, None
            waits.append(wait)
        return self.instances[0], min(waits)

    def close(self) -> None:
        """Closes all connections."""
        for one in self.instances:
            one.close()

    async def revive(self) -> None:
        """Tries to reach the instances that are left out, so that no request has to."""
        out = [one for one in self.instances if one.breaker.is_open and one.breaker.refusal() is None]
        await asyncio.gather(*map(_probe, out))


async def _probe(upstream: Upstream) -> None:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            transport = await upstream.connect(asyncio.Protocol)
    except OSError:
        upstream.breaker.failed()
    else:
        upstream.breaker.succeeded()
        transport.close()
    finally:
        upstream.breaker.undecided()


async def revive_forever(services: Collection[Service], seconds: float = 0.25) -> None:
    """The background loop that finds out when instances are back."""
    several = [service for service in services if service.only is None]
    while several:
        await asyncio.sleep(seconds)
        await asyncio.gather(*(service.revive() for service in several))
