"""The fixtures of all tests, and the beginning and end of a test run."""

import os

import httpx
import pytest
from hypothesis import HealthCheck, settings

from tests.support import postgres
from tests.support.waiting import PATIENCE

# As in CI or at home, but on a machine of any speed.
settings.register_profile("patient", settings(), deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("patient")

SERVERS = {"postgres_server", "nats_server", "valkey_server", "stack"}
pytest_plugins = ["tests.support.fixtures"]
if "MILLRACE_URL" in os.environ:
    pytest_plugins.append("tests.support.remote")


def pytest_configure(config: pytest.Config) -> None:
    """Let the first process of the run own what its workers share, and requests wait as long as tests do."""
    postgres.begin_run()
    for client in (httpx.Client, httpx.AsyncClient):
        client.__init__.__kwdefaults__["timeout"] = httpx.Timeout(PATIENCE)  # type: ignore[misc]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing of the run behind."""
    postgres.end_run()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that asks for a server is an integration test."""
    for item in items:
        if SERVERS & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.integration)
