"""The demo's story, played on a small part of its world."""

from dataclasses import replace

import pytest
from click import unstyle

from millrace.client import Api
from ops.demo import people
from ops.demo.crm import COMPANIES
from ops.demo.load import Loader
from ops.demo.story import STEPS, StoryFailed, play
from ops.demo.world import AIRPORTS, COUNTRIES, airports
from tests.support.platform import Platform

pytestmark = pytest.mark.journey


async def test_the_story_comes_out_as_it_is_told(stack: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    """Each step happens as the platform promises and says how long it took; a world that differs is noticed."""
    some = [row for row in airports() if row["elevation"] >= 12000 or row["country"] in ("BE", "LU", "MC", "AD")]
    async with Api(stack.url, people.TENANT) as api:
        await people.enter(api)
        datasets = (COUNTRIES, replace(AIRPORTS, rows=lambda: some), COMPANIES)
        await Loader(api, lambda *_: None, datasets).load()
    await play(stack.url, some)
    told = unstyle(capsys.readouterr().out).splitlines()[::2]
    assert [line.rpartition("  ")[0] for line in told] == [f"{n}. {title}" for n, (title, _) in enumerate(STEPS, 1)]
    assert all(line.endswith(" ms") for line in told)
    with pytest.raises(StoryFailed, match="airports above 12,000 feet instead of"):
        await play(stack.url, some[:1])
