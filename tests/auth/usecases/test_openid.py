"""Keys and metadata of a provider that is away, or changes its keys; a small server counts the questions."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from libs.common.errors import Unauthenticated, Unavailable
from libs.common.outward import Outward
from services.auth.usecases import openid
from services.auth.usecases.openid import OpenId


class Issuer:
    """A provider's two documents, and how often each was asked for."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.keys: list[dict[str, object]] = []
        self.status = 200
        self.url = ""

    def add(self, kid: str, **more: object) -> None:
        """Another key."""
        key = rsa.generate_private_key(65537, 2048).public_key()
        self.keys.append({**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key)), "kid": kid, **more})

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one request."""
        path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
        self.asked[path] += 1
        metadata = {
            "issuer": self.url, "authorization_endpoint": f"{self.url}/a", "token_endpoint": f"{self.url}/t",
            "jwks_uri": f"{self.url}/keys",
        }  # fmt: skip
        body = json.dumps({"keys": self.keys} if path == "/keys" else metadata).encode()
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (self.status, len(body)))
        writer.write(body)
        writer.close()


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    """A provider on loopback."""
    it = Issuer()
    server = await asyncio.start_server(it.serve, "127.0.0.1", 0)
    it.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield it
    server.close()


@pytest.fixture
async def client() -> AsyncIterator[OpenId]:
    """One who asks."""
    outward = Outward(private=True)
    await outward.start()
    yield OpenId(outward)
    await outward.stop()


async def test_a_new_key_is_found_and_unknown_ones_do_not_bring_the_provider_down(
    issuer: Issuer, client: OpenId, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys are asked for again on an unknown id, and not again for a while."""
    issuer.add("one")
    metadata = await client.metadata(issuer.url)
    await client.key(metadata, "one", "RS256")
    await client.key(metadata, None, "RS256")
    for _ in range(20):
        with pytest.raises(Unauthenticated):
            await client.key(metadata, "two", "RS256")
    assert issuer.asked["/keys"] == 1
    monkeypatch.setattr(openid, "PAUSE_SECONDS", 0.0)
    issuer.add("two")
    await client.key(metadata, "two", "RS256")
    assert issuer.asked["/keys"] == 2
    await client.metadata(issuer.url)
    assert issuer.asked["/.well-known/openid-configuration"] == 1


async def test_a_key_for_something_else_verifies_nothing(issuer: Issuer, client: OpenId) -> None:
    """For encryption, of another algorithm or kind, of an id that two have, or none where there are several."""
    issuer.add("encrypts", use="enc")
    issuer.add("other", alg="PS256")
    issuer.add("twice")
    issuer.add("twice")
    issuer.keys.append({"kty": "oct", "kid": "secret", "k": "c2VjcmV0"})
    metadata = await client.metadata(issuer.url)
    for kid in ("encrypts", "other", "twice", "secret", None):
        with pytest.raises(Unauthenticated):
            await client.key(metadata, kid, "RS256")


async def test_a_provider_that_failed_is_left_alone_for_a_while(issuer: Issuer, client: OpenId) -> None:
    """However many want to sign in."""
    issuer.status = 500
    for _ in range(20):
        with pytest.raises(Unavailable):
            await client.metadata(issuer.url)
    assert issuer.asked.total() == 1
