"""A real Chromium without a window, driven by its DevTools protocol."""

import asyncio
import itertools
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.support.waiting import eventually

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 60.0


def find() -> str | None:
    """The browser's program: of `CHROMIUM`, or the first that is installed."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """A tab."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._session: str | None = None

    async def open(self, url: str) -> None:
        """Goes to an address in a tab of its own."""
        self._session = None
        target = await self.send("Target.createTarget", url="about:blank")
        attached = await self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        await self.send("Page.enable")
        await self.send("Page.navigate", url=url)

        async def there() -> bool:
            return str(await self.run("location.href + document.readyState")) == url + "complete"

        await eventually(there, seconds=SECONDS)

    async def run(self, script: str) -> Any:
        """The value of a script in the page, awaited if it is a promise; what it throws fails the test."""
        answer = await self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        """A command of the protocol, and its answer."""
        number = next(self._numbers)
        command = {"id": number, "method": method, "params": params}
        command |= {"sessionId": self._session} if self._session else {}
        await self._socket.send(json.dumps(command))
        async with asyncio.timeout(SECONDS):
            while True:
                told = json.loads(await self._socket.recv())
                if told.get("id") == number:
                    assert "error" not in told, (method, told["error"])
                    return dict(told["result"])


@asynccontextmanager
async def chromium(program: str, directory: Path) -> AsyncIterator[Page]:
    """A browser for the block, with nothing kept from before."""
    process = await asyncio.create_subprocess_exec(
        program, "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={directory}", "--no-sandbox",
        "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        told = directory / "DevToolsActivePort"

        async def listening() -> bool:
            return told.exists() and len(told.read_text().splitlines()) == 2

        await eventually(listening, seconds=SECONDS)
        port, path = told.read_text().splitlines()
        async with connect(f"ws://127.0.0.1:{port}{path}", max_size=None) as socket:
            yield Page(socket)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
