"""What identity costs, by CPU time over all processes: sign-ins beside the bare hash, and tokens in a request.

Rates would tell how many cores there are; the seconds of CPU that a sign-in takes tell how much of it is not the hash.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import argon2
import psutil

from libs.common.bus import Bus
from libs.common.tokens import KeySet, TokenVerifier
from ops.bench.figures import Figure
from ops.bench.stage import Stage

PEOPLE = 40
SIGN_INS = 400
READS = 4000
AT_ONCE = 4
HASHES = 40
HASHED_AT_ONCE = 2
LOOKUPS = 200_000
IDLE_SECONDS = 4.0
PASSWORD = "a longer horse than battery 9"  # noqa: S105 – of people who live for seconds


async def measure(stage: Stage) -> list[Figure]:
    """Both figures."""
    return [await _sign_ins(stage), await _verification(stage)]


async def _sign_ins(stage: Stage) -> Figure:
    """Sign-ins of several people, against bare argon2id with the same parameters, as many at once, in the same run."""
    people = [f"signing-in-{number}@example.com" for number in range(PEOPLE)]
    for email in people:
        person = {"email": email, "name": "P", "password": PASSWORD, "roles": ["viewer"]}
        await stage.api.post("/users", person)

    async def sign_in(number: int) -> None:
        await stage.api.post("/auth/login", {"email": people[number % PEOPLE], "password": PASSWORD})

    before = _hash_seconds(HASHED_AT_ONCE)
    each = await _cpu_of_each(stage, SIGN_INS, sign_in)
    bare = (before + _hash_seconds(HASHED_AT_ONCE)) / 2
    note = (
        f"{each * 1000:.1f} ms of CPU each, of which the hash {bare * 1000:.1f} ms where {HASHED_AT_ONCE} are made at "
        f"once, as auth does; alone it is {_hash_seconds(1) * 1000:.1f} ms"
    )
    return Figure("sign-ins a second of CPU", 1 / each, "/s", 1 / bare, least_ratio=0.8, note=note)


def _hash_seconds(at_once: int) -> float:
    """What one takes; several at once share caches and memory, and take more each."""
    hasher = argon2.PasswordHasher(2, 19456, 1)
    digest = hasher.hash(PASSWORD)
    with ThreadPoolExecutor(at_once) as pool:
        started = time.process_time()
        list(pool.map(lambda _: hasher.verify(digest, PASSWORD), range(HASHES)))
        return (time.process_time() - started) / HASHES


async def _verification(stage: Stage) -> Figure:
    """The look at a token that was verified before, which gateway and service take at each request."""
    path = f"/pipelines/{stage.pipelines['airports']}/records"
    record = (await stage.api.get(f"{path}?limit=1"))["items"][0]["id"]

    async def read(_: int) -> None:
        await stage.api.get(f"{path}/{record}")

    each = await _cpu_of_each(stage, READS, read)
    verifier = await _warm(stage)
    started = time.process_time()
    for _ in range(LOOKUPS):
        verifier.cached(stage.api.token)
    look = 2 * (time.process_time() - started) / LOOKUPS
    note = f"{look * 1e6:.2f} of {each * 1e6:.0f} µs of CPU; verified in full once in its life"
    return Figure("token verification, of a read", 100 * look / each, "%", most=5, note=note)


async def _warm(stage: Stage) -> TokenVerifier:
    bus = Bus(stage.plan.nats_url, "bench")
    await bus.start()
    await bus.ready()

    async def fetch() -> list[dict[str, Any]]:
        return (await bus.request("rpc.auth.jwks", {}, dict[str, list[dict[str, Any]]]))["keys"]

    verifier = TokenVerifier(KeySet(fetch))
    await verifier.verify(stage.api.token)
    await bus.stop()
    return verifier


async def _cpu_of_each(stage: Stage, count: int, work: Callable[[int], Awaitable[None]]) -> float:
    """Seconds of CPU that each takes in all processes of the platform, beyond what they take while nobody asks."""

    async def worker(numbers: range) -> None:
        for number in numbers:
            await work(number)

    async def all_of(count: int) -> None:
        await asyncio.gather(*(worker(range(start, count, AT_ONCE)) for start in range(AT_ONCE)))

    await all_of(max(PEOPLE, count // 10))
    idle = await _spent(stage, asyncio.sleep(IDLE_SECONDS)) / IDLE_SECONDS
    started = time.monotonic()
    spent = await _spent(stage, all_of(count))
    return (spent - idle * (time.monotonic() - started)) / count


async def _spent(stage: Stage, work: Awaitable[None]) -> float:
    """Seconds of CPU that the platform takes meanwhile."""
    before = _cpu(stage)
    await work
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in _cpu(stage).items())


def _cpu(stage: Stage) -> dict[int, float]:
    """Seconds of CPU by process: those that listen on the platform's ports, and their children."""
    ports = set(stage.plan.ports.values())
    listening = {
        connection.pid
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port in ports
    }
    found = {}
    for pid in listening - {None}:
        process = psutil.Process(pid)
        for it in (process, *process.children(recursive=True)):
            times = it.cpu_times()
            found[it.pid] = times.user + times.system
    return found
