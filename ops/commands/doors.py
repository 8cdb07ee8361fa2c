"""Asking a running service over NATS, as any service asks another."""

import asyncio
import os
from typing import Any

from libs.common.bus import Bus
from libs.common.errors import AppError, Unavailable
from ops.environment import given
from ops.stack.home import Home
from ops.stack.plan import ALL, Plan, make_plan

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 10.0


class Refused(Exception):
    """A service said no, or nobody answered; the message says why."""


def this_plan() -> Plan:
    """The plan of this checkout's stack, or of the servers that the environment names."""
    return make_plan(Home.of(os.environ), os.environ, ALL, assign=False)


def ask(subject: str, question: dict[str, Any]) -> dict[str, Any]:
    """One question and its answer."""
    try:
        return asyncio.run(_ask(given("NATS_URL") or this_plan().nats_url, subject, question))
    except Unavailable as error:
        raise Refused(f"{error.detail}. Is the platform up? ./taskw status") from error
    except AppError as error:
        faults = [f"{fault.pointer}: {fault.detail}" for fault in error.errors]
        raise Refused("\n".join([error.detail, *faults])) from error


async def _ask(url: str, subject: str, question: dict[str, Any]) -> dict[str, Any]:
    bus = Bus(url, "millrace command")
    await bus.start()
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            await bus.ready()
        return await bus.request(subject, question, dict[str, Any], seconds=_ANSWER_SECONDS)
    except TimeoutError:
        raise Unavailable(f"NATS does not answer at {url.rpartition('@')[2]}") from None
    finally:
        await bus.stop()
