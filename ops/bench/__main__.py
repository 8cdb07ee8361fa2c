"""`python -m ops.bench`: one run, a table, and `.millrace/bench.json`."""

import asyncio
import os
import sys
import time

import click
import httpx

from ops.bench import bulk, crowd, identity, requests, schema, search, sockets, traversal
from ops.bench.figures import Figure, show, write
from ops.bench.stage import stage
from ops.client import ApiError
from ops.embedded.process import ServerFailed
from ops.stack import StackError
from ops.stack.home import Home

_EXPECTED = (ApiError, requests.BenchFailed, ServerFailed, StackError, httpx.TransportError)
_IDLE = 0.7


async def measure() -> list[Figure]:
    """Everything, on a stage of its own."""
    async with stage() as place:
        load = Figure("demo load", place.load_seconds, "s", most=60, note="62,000 records and links")
        return [
            *await requests.measure(place, click.echo),
            *await identity.measure(place),
            *await crowd.measure(place),
            *await sockets.measure(place),
            *await traversal.measure(place),
            *await schema.measure(place),
            *await bulk.measure(place),
            *await search.measure(place),
            load,
            Figure("start, cold", place.cold_seconds, "s", most=15, note="initdb, migrations, all ready"),
            Figure("start, warm", place.warm_seconds, "s", most=8, note="with the data there"),
        ]


def main() -> None:
    """Measure and tell."""
    started = time.monotonic()
    busy = os.getloadavg()[0]
    try:
        figures = asyncio.run(measure())
    except _EXPECTED as error:
        click.secho(str(error), fg="red", err=True)
        sys.exit(1)
    path = Home.of(os.environ).root / "bench.json"
    show(figures)
    write(figures, busy, path)
    if busy > _IDLE:
        click.secho(f"The machine was busy before (load {busy:.1f}): these are indications, measure again", fg="yellow")
    click.echo(f"measured in {time.monotonic() - started:.0f} s; also in {path}")


if __name__ == "__main__":
    main()
