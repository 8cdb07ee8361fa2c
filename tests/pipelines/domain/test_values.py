import time
from typing import Any

import pytest

from services.pipelines.domain.definitions import read_field
from services.pipelines.domain.values import misfits
from tests.pipelines.domain.test_fields import field

FITS: list[tuple[dict[str, Any], Any]] = [
    (field("text", min_length=1, max_length=3, pattern="^[a-z]+$"), "abc"),
    (field("textarea"), "two\nlines"),
    (field("number"), 1.5),
    (field("number", kind="integer"), 2.0),
    (field("number", min=0.1, max=0.7, step=0.1), 0.3),
    (field("boolean"), False),
    (field("date"), "2024-02-29"),
    (field("datetime"), "2026-01-31T12:00:00Z"),
    (field("datetime"), "2026-01-31t12:00:00.123+02:00"),
    (field("email"), "a.b+c@example.org"),
    (field("url"), "https://example.org/a?b#c"),
    (field("select"), "a"),
    (field("multiselect"), ["a", "b"]),
    (field("tags"), ["anything"]),
    (field("stage"), "a"),
]
MISFITS: list[tuple[dict[str, Any], Any]] = [
    (field("text"), 1),
    (field("text", min_length=2), "a"),
    (field("text", max_length=0), "a"),
    (field("text", pattern="^a$"), "b"),
    (field("number"), True),
    (field("number"), "1"),
    (field("number", kind="integer"), 1.5),
    (field("number", min=2), 1),
    (field("number", max=2), 3),
    (field("number", step=0.1), 0.35),
    (field("number", step=0.1), 10**301),
    (field("boolean"), 0),
    (field("date"), "2026-02-29"),
    (field("date"), "20260131"),
    (field("date"), "2026-W05"),
    (field("datetime"), "2026-01-31"),
    (field("datetime"), "2026-01-31T12:00:00"),
    (field("datetime"), "2026-01-31T25:00:00Z"),
    (field("datetime"), "0001-01-01T00:00:00+14:00"),
    (field("email"), "a@b"),
    (field("email"), "a b@example.org"),
    (field("url"), "javascript:alert(1)"),
    (field("url"), "https://"),
    (field("url"), "http://[::1"),
    (field("select"), "b"),
    (field("select"), ["a"]),
    (field("multiselect"), "a"),
    (field("multiselect"), ["a", "c"]),
    (field("tags"), [""]),
    (field("tags"), [1]),
    (field("stage"), "b"),
]


@pytest.mark.parametrize(("value", "default"), FITS)
def test_a_default_that_fits(value: dict[str, Any], default: Any) -> None:
    """A field takes a value that its type and options allow as its default."""
    assert read_field({**value, "default": default}, "")[1] == []


@pytest.mark.parametrize(("value", "default"), MISFITS)
def test_a_default_that_does_not_fit(value: dict[str, Any], default: Any) -> None:
    """A default that the field itself would refuse is a fault."""
    faults = read_field({**value, "default": default}, "")[1]
    assert {(fault.pointer, fault.code) for fault in faults} == {("/default", "invalid_default")}


def test_a_vicious_pattern_costs_nothing() -> None:
    """What holds a backtracking engine for ages is answered at once."""
    read, _ = read_field(field("text", pattern="^(a+)+$"), "")
    assert read is not None
    started = time.thread_time()
    assert list(misfits(read, "a" * 50_000 + "!")) == ["The value does not match the pattern"]
    assert time.thread_time() - started < 5
