"""`millrace audit verify`, with somebody on the bus who answers as auth does."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from libs.common.bus import Bus
from tests.ops.commands.test_commands import millrace


class Question(msgspec.Struct):
    """What auth is asked."""

    tenant: str
    seq: int
    hash: str
    until: int | None = None


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    """Where auth would be, with a log of seven entries that it tells three at a time."""
    bus = Bus(nats_url, "test auth")

    async def answer(question: Question) -> dict[str, Any]:
        if question.tenant == "bad":
            return {"seq": 1, "hash": "01", "end": False, "broken_at": 2}
        seq = min(7, question.seq + 3, question.until or 7)
        return {"seq": seq, "hash": f"{seq:02}", "end": seq == 7, "broken_at": None}

    await bus.start()
    bus.serve("rpc.auth.admin.check_audit", Question, answer)
    await bus.ready()
    yield bus
    await bus.stop()


async def verify(nats_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command while the loop goes on answering."""
    return await asyncio.to_thread(millrace, "audit", "verify", *arguments, NATS_URL=nats_url)


async def test_a_sound_log_tells_its_newest_entry(bus: Bus, nats_url: str) -> None:
    """To be noted, and given next time."""
    done = await verify(nats_url, "demo")
    assert (done.returncode, done.stdout) == (0, "7 entries are sound\n7:07\n"), done.stderr
    assert (await verify(nats_url, "demo", "--expect", "5:05")).returncode == 0
    later = await verify(nats_url, "demo", "--after", "2:02")
    assert (later.returncode, later.stdout) == (0, "5 entries are sound\n7:07\n"), later.stderr


async def test_a_log_without_what_was_noted_was_cut_off(bus: Bus, nats_url: str) -> None:
    """Also where the chain itself is sound."""
    done = await verify(nats_url, "demo", "--expect", "9:09")
    assert (done.returncode, "cut off" in done.stderr) == (1, True)


async def test_tampering_is_told_and_fails(bus: Bus, nats_url: str) -> None:
    """With the number of the entry."""
    done = await verify(nats_url, "bad")
    assert (done.returncode, "entry 2" in done.stderr) == (1, True)
    noted = await verify(nats_url, "bad", "--after", "1:01")
    assert (noted.returncode, "or entry 1 is not 01" in noted.stderr) == (1, True)
