"""Hashing off the event loop, within bounds."""

import asyncio
import base64
from collections.abc import AsyncIterator

import msgspec
import pytest

from libs.common.errors import Unavailable
from services.auth.domain import people
from services.auth.settings import Settings
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


async def test_every_character_of_a_password_counts(hasher: Hasher) -> None:
    """Nothing is cut or folded, up to the longest that is taken: letters, blanks and what is no letter."""
    password = "zebra  \U0001f98a Größe 鎖 " * 8
    password = password[: people.MAX_PASSWORD - 1] + "!"
    assert people.check_password(password) == []
    stored = await hasher.hash(password)
    assert await hasher.verify(stored, password) is True
    for other in (password[:-1], password[:-1] + "?", password.replace("  ", " "), password.lower()):
        assert await hasher.verify(stored, other) is False


async def test_each_hash_has_a_salt_of_its_own(hasher: Hasher) -> None:
    """Of 128 bits; the service's own parameters are no less than the least that OWASP advises for argon2id."""
    parts = [(await hasher.hash("correct horse")).split("$") for _ in range(2)]
    assert [part[1] for part in parts] == ["argon2id"] * 2
    salts = {base64.b64decode(part[4] + "==") for part in parts}
    assert [len(salt) for salt in salts] == [16, 16]
    defaults = {field.name: field.default for field in msgspec.structs.fields(Settings)}
    assert (defaults["argon2_memory_kib"], defaults["argon2_time_cost"]) >= (19456, 2)


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
