import asyncio

import pytest

from libs.common import health
from libs.common.errors import Unavailable


async def fine() -> None:
    """A check that passes."""


async def broken() -> None:
    """A check that fails."""
    raise Unavailable("gone")


async def hanging() -> None:
    """A check that never answers."""
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("required", "other", "status"),
    [(fine, fine, "ok"), (fine, broken, "degraded"), (broken, fine, "failed"), (broken, broken, "failed")],
)
async def test_the_status_follows_the_checks(required: health.Check, other: health.Check, status: str) -> None:
    """A required check that fails fails the whole, another degrades it."""
    found = await health.report("x", "1", {"a": required}, {"b": other})
    assert found.status == status
    assert found.checks.keys() == {"a", "b"}


async def test_a_failed_check_says_why() -> None:
    """The error's words are the detail."""
    assert (await health.report("x", "1", {"a": broken}, {})).checks["a"].detail == "gone"


async def test_a_check_that_hangs_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks are bounded in time and run together."""
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.05)
    found = await health.report("x", "1", {"a": hanging, "b": hanging, "c": fine}, {})
    assert [found.checks[name].status for name in "abc"] == ["failed", "failed", "ok"]
