"""HTTP load: `python -m ops.bench.generator`, a `Load` on stdin, a `Result` on stdout.

Each client sends its next request when the answer to the last is complete, on a connection it keeps. The requests are
made beforehand, so that the generator only writes, parses and counts; `busy` is the share of a core it took.
"""

import asyncio
import sys
import time
from collections import Counter
from itertools import cycle
from typing import cast

import httptools
import msgspec
import uvloop

_LATENCIES = 200_000


class Load(msgspec.Struct):
    """What to send where, for how long; times are seconds."""

    port: int
    requests: list[bytes]
    clients: int = 32
    warm_up: float = 0.4
    seconds: float = 1.6


class Result(msgspec.Struct):
    """What came back within the measured time."""

    rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    busy: float
    statuses: dict[int, int]


class _Run:
    def __init__(self, load: Load) -> None:
        self.requests = cycle(load.requests)
        self.statuses: Counter[int] = Counter()
        self.latencies: list[float] = []
        self.over = False

    def reset(self) -> None:
        """Forget what went well before the measured time."""
        for status in [status for status in self.statuses if 200 <= status < 300]:
            del self.statuses[status]
        self.latencies.clear()


class _Client(asyncio.Protocol):
    def __init__(self, run: _Run) -> None:
        self._run = run
        self._parser = httptools.HttpResponseParser(self)
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        run = self._run
        run.statuses[self._parser.get_status_code()] += 1
        if len(run.latencies) < _LATENCIES:
            run.latencies.append(time.perf_counter() - self._sent)
        if run.over:
            self._transport.close()
        else:
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._run.over:
            self._run.statuses[0] += 1

    def _next(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(next(self._run.requests))


async def apply(load: Load) -> Result:
    """Apply a load."""
    run = _Run(load)
    loop = asyncio.get_running_loop()
    for _ in range(load.clients):
        await loop.create_connection(lambda: _Client(run), "127.0.0.1", load.port)
    await asyncio.sleep(load.warm_up)
    run.reset()
    started, worked = time.perf_counter(), time.process_time()
    await asyncio.sleep(load.seconds)
    took, worked = time.perf_counter() - started, time.process_time() - worked
    run.over = True
    latencies = sorted(run.latencies) or [0.0]
    return Result(
        rate=run.statuses.total() / took,
        p50_ms=latencies[len(latencies) // 2] * 1000,
        p95_ms=latencies[len(latencies) * 95 // 100] * 1000,
        p99_ms=latencies[len(latencies) * 99 // 100] * 1000,
        busy=worked / took,
        statuses=dict(run.statuses),
    )


def main() -> None:
    """Read, run, tell."""
    load = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Load)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(apply(load))))


if __name__ == "__main__":
    main()
