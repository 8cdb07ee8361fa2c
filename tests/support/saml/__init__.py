"""A SAML identity provider on loopback, a process of its own: pysaml2, set up in `server.py`."""

import html
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from ops.embedded import free_port
from tests.support.waiting import until

ADDRESS = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
PASSWORD = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
_FIELD = re.compile(r'name="(\w+)" value="([^"]*)"')


@dataclass(frozen=True)
class SamlProvider:
    """A running provider; whoever comes is signed in there as the one that `be` named last."""

    url: str
    certificate: str

    @property
    def entity_id(self) -> str:
        """What it calls itself."""
        return f"{self.url}/metadata"

    def know(self, metadata: str) -> None:
        """Tells it of a service provider, by the document that this one shows."""
        httpx.post(f"{self.url}/peers", content=metadata).raise_for_status()

    def be(
        self, subject: str, attributes: dict[str, Any] | None = None, *, format: str = ADDRESS,  # noqa: A002
        context: str = PASSWORD, **changes: Any,
    ) -> None:  # fmt: skip
        """Who sits at the browser from now on; `changes` are of pysaml2's `create_authn_response`."""
        told = {
            "subject": subject, "attributes": attributes or {}, "format": format, "context": context,
            "changes": changes,
        }  # fmt: skip
        httpx.post(f"{self.url}/session", json=told).raise_for_status()

    async def answer(self, there: str) -> dict[str, str]:
        """The fields of the form that the provider's page has."""
        async with httpx.AsyncClient() as browser:
            page = await browser.get(there)
        assert page.status_code == 200, page.text
        return {name: html.unescape(value) for name, value in _FIELD.findall(page.text)}


def key_and_certificate(days: int = 30) -> tuple[str, str]:
    """A private key and its own certificate, in PEM."""
    key = rsa.generate_private_key(65537, 2048)
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Head office")]), datetime.now(UTC)
    made = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now - timedelta(days=60), now + timedelta(days=days)
    ).sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private.decode(), made.public_bytes(pem).decode()


@contextmanager
def provider(directory: Path) -> Iterator[SamlProvider]:
    """A provider for the block."""
    port = free_port()
    key, certificate = key_and_certificate()
    (directory / "key.pem").write_text(key)
    (directory / "certificate.pem").write_text(certificate)
    command = [sys.executable, str(Path(__file__).with_name("server.py")), str(directory), str(port)]
    with (directory / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            until(lambda: _answers(f"http://127.0.0.1:{port}/"))
            yield SamlProvider(f"http://127.0.0.1:{port}", certificate)
        finally:
            process.kill()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False
