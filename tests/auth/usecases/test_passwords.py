"""Hashing off the event loop, within bounds."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from libs.common.errors import Unavailable
from services.auth.usecases.passwords import Hasher


@pytest.fixture
async def hasher() -> AsyncIterator[Hasher]:
    """One thread, and two who may wait for it."""
    hasher = Hasher(1, 8192, 1, threads=1, queue=2)
    await hasher.start()
    yield hasher
    await hasher.stop()


async def test_a_password_fits_its_own_hash_alone(hasher: Hasher) -> None:
    """Another password, no hash, or what is no hash: wrong."""
    stored = await hasher.hash("correct horse")
    assert await hasher.verify(stored, "correct horse") is True
    assert await hasher.verify(stored, "wrong horse") is False
    assert await hasher.verify(None, "correct horse") is False
    assert await hasher.verify("no hash", "correct horse") is False


async def test_beyond_the_queue_is_refused_at_once(hasher: Hasher) -> None:
    """Of many at a time the bounded number is served, the others are told to come again."""
    answers = await asyncio.gather(*(hasher.hash("correct horse") for _ in range(20)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, Unavailable)]
    assert 1 <= len(answers) - len(refused) < 20
    assert {(error.code, error.retry_after) for error in refused} == {("busy", 1)}
    assert await hasher.hash("correct horse")


async def test_the_event_loop_goes_on_meanwhile(hasher: Hasher) -> None:
    """While a hash is made, other work is done."""
    hashing = asyncio.create_task(Hasher.hash(hasher, "correct horse"))
    turns = 0
    while not hashing.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 10
