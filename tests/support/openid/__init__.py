"""An OpenID provider on loopback, a process of its own: django-oauth-toolkit, set up in `server.py`."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx

from ops.embedded import free_port
from tests.support.waiting import until

CLIENT_ID = "millrace"
CLIENT_SECRET = "the secret of the client"


@dataclass(frozen=True)
class OpenIdProvider:
    """A running provider; whoever comes is signed in there as the one that `be` named last."""

    issuer: str

    def be(self, subject: str, **claims: object) -> None:
        """Who sits at the browser from now on, with what claims."""
        url = f"{self.issuer.removesuffix('/o')}/session"
        httpx.post(url, json={"subject": subject, "claims": claims}).raise_for_status()

    async def answer(self, authorize: str) -> httpx.QueryParams:
        """What the provider's redirect brings back from its authorization page."""
        async with httpx.AsyncClient() as browser:
            answer = await browser.get(authorize)
        assert answer.status_code == 302, answer.text
        found = parse_qs(urlsplit(answer.headers["location"]).query)
        return httpx.QueryParams({name: values[0] for name, values in found.items()})


@contextmanager
def provider(directory: Path) -> Iterator[OpenIdProvider]:
    """A provider for the block."""
    port = free_port()
    command = [sys.executable, str(Path(__file__).with_name("server.py")), str(directory), str(port)]
    with (directory / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            until(lambda: _answers(f"http://127.0.0.1:{port}/o/.well-known/openid-configuration"))
            yield OpenIdProvider(f"http://127.0.0.1:{port}/o")
        finally:
            process.kill()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False
