"""The fixtures of all tests, and the beginning and end of a test run."""

import pytest

from tests.support import postgres

pytest_plugins = ["tests.support.fixtures"]


def pytest_configure(config: pytest.Config) -> None:
    """Let the first process of the run own what its workers share."""
    postgres.begin_run()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing of the run behind."""
    postgres.end_run()
