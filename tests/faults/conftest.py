"""A platform to break: PostgreSQL, Valkey, NATS and the five services, all of its own."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ops.embedded import free_port
from ops.stack import Stack
from ops.stack.home import Home
from ops.stack.plan import SERVERS
from tests.faults.watching import recovered
from tests.support import logs, platform
from tests.support.fixtures import ENVIRONMENT
from tests.support.platform import Tenant


@contextmanager
def own_stack(root: Path, **more: str) -> Iterator[Stack]:
    """A running stack for the length of a block, with these settings as well."""
    environ = {name: value for name, value in os.environ.items() if name not in SERVERS.values()}
    given = {"PORT": str(free_port()), "JOB_LEASE_SECONDS": "3", "WEBHOOK_LOCAL": "true", **ENVIRONMENT, **more}
    stack = Stack(Home(root), {**environ, **given})
    try:
        stack.up(tied=True)
        yield stack
        wrong = logs.faults(stack, killed=True)
        assert wrong == [], "the logs of what was broken tell what they must not:\n" + "\n".join(wrong[:20])
    finally:
        stack.reset()


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack that belongs to one module of tests."""
    with own_stack(tmp_path_factory.mktemp("victim")) as stack:
        yield stack


@pytest.fixture
async def victims_tenant(victim: Stack) -> AsyncIterator[Tenant]:
    """A fresh tenant on it, once it has recovered from what was done to it before."""
    recovered(victim)
    async with platform.signed_up(victim.plan.gateway_url) as fresh:
        yield fresh
