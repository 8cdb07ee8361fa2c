"""Shared documents by the stock JavaScript client, `y-websocket` from npm, through the gateway."""

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.crm import colleague, make_pipeline, make_record, told
from tests.support.platform import Platform, Tenant
from tests.support.waiting import eventually
from tests.support.yjs import Peer

HERE = Path(__file__).parent
NOTES = {"name": "notes", "type": "textarea", "collaborative": True}
pytestmark = pytest.mark.journey


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the client and the packages that it needs."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("there is no Node here, such as Debian's packages nodejs and npm")
    folder = tmp_path_factory.mktemp("node")
    for name in ("client.mjs", "package.json"):
        shutil.copy(HERE / name, folder)
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=240)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        pytest.skip("npm cannot get y-websocket here")
    return folder


class Browser:
    """One such client."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.text = ""
        self.synced = False
        self.closed: int | None = None
        self.states: list[Any] = []
        self._process = process

    async def do(self, **what: Any) -> None:
        """Has it do something."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        await self._process.stdin.drain()

    async def listen(self) -> None:
        """Takes in what it tells, until it ends."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            said = json.loads(line)
            self.text = said.get("text", self.text)
            self.synced = said.get("synced", self.synced)
            self.closed = said.get("code", self.closed)
            self.states = said.get("states", self.states)

    async def syncs(self) -> None:
        """Waits until it has all that there is."""

        async def all_there() -> bool:
            return self.synced

        await eventually(all_there)

    async def reads(self, text: str) -> None:
        """Waits until it has a text."""

        async def same() -> bool:
            return self.text == text

        await eventually(same)


@asynccontextmanager
async def browser(package: Path, stack: Platform, record: dict[str, Any], token: str) -> AsyncIterator[Browser]:
    """A client of a record's notes."""
    address = f"{stack.url.replace('http', 'ws', 1)}/ws/docs/{record['id']}"
    process = await asyncio.create_subprocess_exec(
        "node", "client.mjs", address, "notes", token, cwd=package, env=dict(os.environ),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    one = Browser(process)
    listening = asyncio.create_task(one.listen())
    try:
        yield one
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(60):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        await listening


async def test_the_stock_client_edits_together(package: Path, stack: Platform, tenant: Tenant) -> None:
    """Two stock clients and one in Python write one text, see each other's awareness, merge what was written offline,
    and the record has the text.
    """
    pipeline = await make_pipeline(tenant.client, "Notes", NOTES)
    record = await make_record(tenant.client, pipeline, {"notes": "Hello"})
    path = f"/pipelines/{pipeline['id']}/records/{record['id']}"
    python = Peer(f"{stack.url}/ws/docs/{record['id']}/notes", tenant.access_token)
    async with (
        browser(package, stack, record, tenant.access_token) as one,
        browser(package, stack, record, tenant.access_token) as two,
        python.online(),
    ):
        await asyncio.gather(one.reads("Hello"), two.reads("Hello"), python.reads("Hello"))
        await asyncio.gather(one.syncs(), two.syncs())
        await one.do(insert=" wörld 😀")
        await asyncio.gather(two.reads("Hello wörld 😀"), python.reads("Hello wörld 😀"))
        await one.do(awareness={"name": "Ann"})

        async def seen() -> bool:
            return {"user": {"name": "Ann"}} in two.states

        await eventually(seen)
        await two.do(offline=True)
        await two.do(insert="Offline. ", at=0)
        await one.do(insert="!")
        await python.reads("Hello wörld 😀!")
        await two.do(online=True)
        merged = "Offline. Hello wörld 😀!"
        await asyncio.gather(one.reads(merged), two.reads(merged), python.reads(merged))

        async def written() -> bool:
            return bool(told(await tenant.client.get(path))["data"]["notes"] == merged)

        await eventually(written)


async def test_the_stock_client_gives_up_where_it_may_not(package: Path, stack: Platform, tenant: Tenant) -> None:
    """A refusal is a close code by which the client knows that coming back is of no use."""
    pipeline = await make_pipeline(tenant.client, "Notes", NOTES)
    record = await make_record(tenant.client, pipeline, {"notes": "Hello"})
    gone = {**record, "id": pipeline["id"]}
    async with colleague(stack.url, tenant, "member") as (_, _, token), browser(package, stack, gone, token) as one:

        async def closed() -> bool:
            return one.closed == 4404

        await eventually(closed)
