"""docs/security.md claims nothing without a test that exists."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLAIM = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


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
