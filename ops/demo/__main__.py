"""`python -m ops.demo load` and `python -m ops.demo story`; `GATEWAY_URL` says where, by default this checkout's."""

import asyncio
import os
import sys
import time

import click
import httpx

from millrace.client import Api, ApiError, NotHeard
from ops.demo import people
from ops.demo.load import Loader, LoadFailed
from ops.demo.progress import bars
from ops.demo.story import StoryFailed, play
from ops.stack.home import Home
from ops.stack.plan import DEFAULT_PORT

_EXPECTED = (ApiError, NotHeard, LoadFailed, StoryFailed, people.NotReachable)


@click.group()
def demo() -> None:
    """The demo: real data, and a story on it."""


@demo.command()
def load() -> None:
    """Load countries, airports, cities and a small CRM; what is there is left alone."""
    gateway = _gateway()
    started = time.monotonic()
    asyncio.run(_load(gateway))
    click.echo(f"loaded in {time.monotonic() - started:.1f} s into the tenant '{people.TENANT}' at {gateway}")
    click.echo(f"sign in with the password {people.PASSWORD} as {', '.join(map(people.address, people.NAMES))}")


@demo.command()
def story() -> None:
    """Play the main job step by step."""
    asyncio.run(play(_gateway()))


async def _load(gateway: str) -> None:
    async with Api(gateway, people.TENANT) as api:
        await people.enter(api)
        with bars() as report:
            await Loader(api, report).load()


def _gateway() -> str:
    port = Home.of(os.environ).ports().get("gateway", DEFAULT_PORT)
    return os.environ.get("GATEWAY_URL") or f"http://127.0.0.1:{port}"


def main() -> None:
    """Run a command; what its user can mend is a sentence."""
    try:
        demo()
    except httpx.TransportError as error:
        click.secho(f"No answer from {_gateway()} ({error!r}). Is the platform up? ./taskw status", fg="red", err=True)
        sys.exit(1)
    except _EXPECTED as error:
        click.secho(str(error), fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
