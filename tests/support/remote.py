"""A platform that runs elsewhere, such as in containers: `MILLRACE_URL` names its gateway.

Journeys that only come in by the gateway run against it unchanged. `SSL_CERT_FILE` names the authority of its
certificate, and its rate limits have to be off.
"""

import os
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class RemotePlatform:
    """A platform of which only the gateway's address is known."""

    url: str


@pytest.fixture(scope="session")
def stack() -> RemotePlatform:
    """The platform that `MILLRACE_URL` names."""
    return RemotePlatform(os.environ["MILLRACE_URL"])
