"""A platform that runs elsewhere, such as in containers: `MILLRACE_URL` names its gateway.

Journeys that only come in by the gateway run against it unchanged. `SSL_CERT_FILE` names the authority of its
certificate, and its rate limits have to be off.
"""

import os
from dataclasses import dataclass

import pytest

from ops.stack import Stack
from tests.support.postgres import Database


@dataclass(frozen=True)
class RemotePlatform:
    """A platform of which only the gateway's address is known; a test that looks behind it is left out."""

    url: str

    @property
    def stack(self) -> Stack:
        """Not known."""
        pytest.skip("looks behind the gateway")

    @property
    def database(self) -> Database:
        """Not known."""
        pytest.skip("looks behind the gateway")


@pytest.fixture(scope="session")
def stack() -> RemotePlatform:
    """The platform that `MILLRACE_URL` names."""
    return RemotePlatform(os.environ["MILLRACE_URL"])
