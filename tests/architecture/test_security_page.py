"""docs/security.md claims nothing without a test that exists, and leaves no requirement out."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLAIM = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
LINE = re.compile(r"^\| (\d[\d., to]*)(.*?)\|(.*)\|(.*)\|$", re.MULTILINE)

# How many requirements each section of chapters 2 to 4 of the standard (4.0.3) has, of any level.
SECTIONS = {
    "2.1": 12, "2.2": 7, "2.3": 3, "2.4": 5, "2.5": 7, "2.6": 3, "2.7": 6, "2.8": 7, "2.9": 3, "2.10": 4,
    "3.1": 1, "3.2": 4, "3.3": 4, "3.4": 5, "3.5": 3, "3.6": 2, "3.7": 1,
    "4.1": 5, "4.2": 2, "4.3": 3,
}  # fmt: skip


def numbers(text: str) -> list[str]:
    """The requirements that the first column of a line names: `2.1.1`, `2.1.1, 2.1.2` or `2.7.1 to 2.7.6`."""
    found = re.findall(r"\d+\.\d+\.\d+", text)
    if " to " not in text:
        return found
    section, first = found[0].rsplit(".", 1)
    return [f"{section}.{number}" for number in range(int(first), int(found[1].rsplit(".", 1)[1]) + 1)]


def test_every_requirement_has_its_line() -> None:
    """Once each, with a test, or with a sentence on why there is none."""
    chapters = (ROOT / "docs" / "security.md").read_text().split("## V7")[0]
    told = {number: (how, tests) for start, _, how, tests in LINE.findall(chapters) for number in numbers(start)}
    lines = [number for start, *_ in LINE.findall(chapters) for number in numbers(start)]
    expected = {f"{section}.{number}" for section, count in SECTIONS.items() for number in range(1, count + 1)}
    assert expected - set(lines) == set()
    assert sorted(number for number in set(lines) & expected if lines.count(number) > 1) == []
    reasons = ("does not apply", "deleted", "not done")
    assert [n for n in expected if not CLAIM.search(told[n][1]) and not any(r in told[n][0] for r in reasons)] == []


def test_every_test_that_is_named_exists() -> None:
    """A claim whose test is gone is gone itself."""
    claims = CLAIM.findall((ROOT / "docs" / "security.md").read_text())
    assert len(claims) > 40
    missing = [
        f"{path}::{name}"
        for path, name in claims
        if not re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE)
    ]
    assert missing == []
