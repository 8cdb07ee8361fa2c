"""`python -m ops.bench [section …]`: one run, a table, and `.millrace/bench.json`."""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence

import click
import httpx

from millrace.client import ApiError
from ops.bench import bulk, crowd, effect, identity, requests, scale, schema, search, sockets, traversal
from ops.bench.figures import Figure, show, write
from ops.bench.stage import Stage, stage
from ops.embedded.process import ServerFailed
from ops.stack import StackError
from ops.stack.home import Home

_EXPECTED = (ApiError, requests.BenchFailed, ServerFailed, StackError, TimeoutError, httpx.TransportError)
_IDLE = 0.7

Section = Callable[[Stage], Awaitable[list[Figure]]]


async def _requests(place: Stage) -> list[Figure]:
    return await requests.measure(place, click.echo)


# In this order: idle sockets are counted before the worker has memory to use again.
SECTIONS: dict[str, Section] = {
    "requests": _requests,
    "identity": identity.measure,
    "effect": effect.measure,
    "crowd": crowd.measure,
    "sockets": sockets.measure,
    "traversal": traversal.measure,
    "bulk": bulk.measure,
    "search": search.measure,
    "scale": scale.measure,
    "schema": schema.measure,
}


async def measure(names: Sequence[str]) -> tuple[list[Figure], list[str]]:
    """These sections on a stage of their own, and the names of those that failed."""
    failed: list[str] = []
    async with stage() as place:
        figures = [
            Figure("start, cold", place.cold_seconds, "s", most=15, note="initdb, migrations, all ready"),
            Figure("start, warm", place.warm_seconds, "s", most=8, note="with the data there"),
            Figure("demo load", place.load_seconds, "s", most=60, note="62,000 records and links"),
        ]
        for name in names:
            click.echo(f"measuring {name}")
            try:
                figures += await SECTIONS[name](place)
            except _EXPECTED as error:
                failed.append(name)
                click.secho(f"{name}: {error}", fg="red", err=True)
    return figures, failed


def _loop() -> float:
    """Seconds that Python takes by itself; a shared machine may be half as fast an hour later."""
    began, total = time.perf_counter(), 0
    for step in range(5_000_000):
        total += step
    return time.perf_counter() - began


@click.command()
@click.argument("sections", nargs=-1, type=click.Choice(list(SECTIONS)))
def main(sections: tuple[str, ...]) -> None:
    """Measure and tell; without sections, all of them."""
    started = time.monotonic()
    busy, before = os.getloadavg()[0], _loop()
    try:
        figures, failed = asyncio.run(measure(sections or tuple(SECTIONS)))
    except _EXPECTED as error:
        click.secho(str(error), fg="red", err=True)
        sys.exit(1)
    after = _loop()
    note = f"{before:.2f} s before, {after:.2f} s after: how fast the machine is by itself"
    figures.append(Figure("five million steps of a loop", max(before, after), "s", note=note))
    path = Home.of(os.environ).root / "bench.json"
    show(figures)
    write(figures, busy, path)
    if busy > _IDLE:
        click.secho(f"The machine was busy before (load {busy:.1f}): these are indications, measure again", fg="yellow")
    click.echo(f"measured in {time.monotonic() - started:.0f} s; also in {path}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
