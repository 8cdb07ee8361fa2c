"""A suspended tenant, as its people meet it at the gateway."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.platform import Platform, Tenant
from tests.support.waiting import eventually

pytestmark = pytest.mark.journey

PROJECT = Path(__file__).parents[2]


async def millrace(stack: Platform, *arguments: str) -> None:
    """What an operator types."""
    given = {**os.environ, "NATS_URL": stack.stack.plan.nats_url}
    run = [sys.executable, "-c", "from ops.cli import main; main()", *arguments]
    done = await asyncio.to_thread(subprocess.run, run, env=given, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


async def test_tokens_open_nothing_while_their_tenant_is_suspended(
    stack: Platform, tenant: Tenant, other_tenant: Tenant
) -> None:
    """By the operator's word, in every service; and again something when it is resumed."""
    paths = ("/users/me", "/pipelines", "/relationship-types")

    async def answers() -> list[int]:
        return [(await tenant.client.get(path)).status_code for path in paths]

    async def all_are(status: int) -> bool:
        return await answers() == [status] * 3

    assert await all_are(200)
    await millrace(stack, "tenant", "suspend", tenant.slug)
    await eventually(lambda: all_are(403))
    assert (await other_tenant.client.get("/users/me")).status_code == 200
    await millrace(stack, "tenant", "resume", tenant.slug)
    await eventually(lambda: all_are(200))
