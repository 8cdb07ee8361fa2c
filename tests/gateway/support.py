"""Services and gateways in threads of their own, on loopback, and tokens that a test auth has signed."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.main import Gateway, server
from gateway.route_table import ROUTES, Route, RouteTable
from gateway.server import Patience
from gateway.settings import Settings
from libs.common.ids import new_id
from tests.support.waiting import PATIENCE, until

Scope = dict[str, Any]
DEMO = UUID("0190a000-0000-7000-8000-000000000001")
OTHER = UUID("0190a000-0000-7000-8000-000000000002")
CLOSED = UUID("0190a000-0000-7000-8000-000000000003")
TENANTS = {"demo": (DEMO, "active"), "other": (OTHER, "active"), "closed": (CLOSED, "suspended")}
DOMAINS = {"crm.example.com": "demo"}
_KEY = Ed25519PrivateKey.generate()
_KID = "test"


def token(tenant: UUID = DEMO, user: UUID | None = None, session: UUID | None = None, **claims: Any) -> str:
    """An access token as auth would sign it."""
    now = time.time()
    payload = {
        "iss": "millrace", "aud": "millrace", "sub": str(user or new_id()), "tid": str(tenant),
        "sid": str(session or new_id()), "kind": "user", "name": "Ada", "roles": [], "iat": now, "exp": now + 600,
        "jti": str(new_id()), **claims,
    }  # fmt: skip
    return jwt.encode(payload, _KEY, algorithm="EdDSA", headers={"kid": _KID})


def bearer(text: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"authorization": f"Bearer {text}"}


class Services:
    """An ASGI application that plays all four services: it answers as auth would, and echoes everything else."""

    def __init__(self) -> None:
        self.resolved: list[str] = []
        self.closed: int | None = None
        self.tenants = dict(TENANTS)
        self.addresses: dict[str, list[str]] = {}
        self.plans: dict[str, dict[str, int]] = {}
        self.keys: dict[str, str] = {}
        self.exchanged: list[str] = []

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answers."""
        if scope["type"] == "websocket":
            return await self.socket(scope, receive, send)
        if scope["path"] == "/.well-known/jwks.json":
            jwk = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(_KEY.public_key()))
            return await reply(send, 200, {"keys": [{**jwk, "kid": _KID, "alg": "EdDSA", "use": "sig"}]})
        if scope["path"] == "/internal/tenants/resolve":
            return await self.resolve(scope, send)
        if scope["path"] == "/internal/api-keys/exchange":
            return await self.exchange(receive, send)
        if scope["path"] == "/health":
            return await reply(send, 200, {"status": "ok", "service": "test", "version": "1", "checks": {}})
        return await self.echo(scope, receive, send)

    async def resolve(self, scope: Scope, send: Any) -> None:
        """The tenant directory."""
        query = parse_qs(scope["query_string"].decode())
        self.resolved.append(scope["query_string"].decode())
        by_id = {str(tenant_id): slug for slug, (tenant_id, _) in self.tenants.items()}
        named = query.get("slug", [""])[0] or by_id.get(query.get("id", [""])[0], "")
        slug = named or DOMAINS.get(query.get("host", [""])[0], "")
        if slug not in self.tenants:
            return await reply(send, 404, {})
        tenant_id, status = self.tenants[slug]
        told = {"id": str(tenant_id), "slug": slug, "name": slug.title(), "status": status}
        await reply(send, 200, told | {"addresses": self.addresses.get(slug, []), **self.plans.get(slug, {})})

    async def exchange(self, receive: Any, send: Any) -> None:
        """A token for a known key."""
        key = json.loads((await receive())["body"])["key"]
        self.exchanged.append(key)
        if key not in self.keys:
            return await reply(send, 401, {})
        await reply(send, 200, {"access_token": self.keys[key], "expires_in": 300})

    async def echo(self, scope: Scope, receive: Any, send: Any) -> None:
        """What arrived, as JSON."""
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                break
        headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
        await reply(send, 200, {
            "method": scope["method"], "path": scope["raw_path"].decode(), "query": scope["query_string"].decode(),
            "headers": headers, "body": body.decode("latin-1"),
        })  # fmt: skip

    async def socket(self, scope: Scope, receive: Any, send: Any) -> None:
        """Says what the handshake was, then echoes; `close <code>` closes."""
        await receive()
        if scope["path"].endswith("/refused"):
            await send({"type": "websocket.close", "code": 4000})
            return
        await send({"type": "websocket.accept", "subprotocol": next(iter(scope["subprotocols"]), None)})
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        seen = {"path": scope["path"], "query": scope["query_string"].decode(), "headers": headers}
        await send({"type": "websocket.send", "text": json.dumps(seen)})
        while (message := await receive())["type"] == "websocket.receive":
            if (message.get("text") or "").startswith("close "):
                await send({"type": "websocket.close", "code": int(message["text"][6:]), "reason": "asked"})
                return
            await send({**message, "type": "websocket.send"})
        self.closed = message.get("code")


async def reply(send: Any, status: int, document: object) -> None:
    """A JSON answer."""
    body = json.dumps(document).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def serving(made: Callable[[], uvicorn.Server]) -> Iterator[int]:
    """A uvicorn server in a thread of its own; gives its port."""
    running = made()
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    until(lambda: running.started or not thread.is_alive())
    try:
        yield running.servers[0].sockets[0].getsockname()[1]
    finally:
        running.should_exit = True
        thread.join(60)


def upstream_server(app: Any, port: int = 0) -> uvicorn.Server:
    """A service."""
    return uvicorn.Server(uvicorn.Config(
        app, port=port, loop="uvloop", lifespan="off", log_config=None, access_log=False, ws="websockets-sansio",
        timeout_keep_alive=75, timeout_graceful_shutdown=1,
    ))  # fmt: skip


@contextmanager
def gateway_for(
    urls: str | dict[str, str],
    redis_url: str,
    nats_url: str,
    *,
    routes: tuple[Route, ...] = ROUTES,
    patience: Patience | None = None,
    **settings: Any,
) -> Iterator[str]:
    """A gateway before services; gives its base URL, on which no tenant is named."""
    names = ("auth", "pipelines", "records", "realtime")
    by_name = urls if isinstance(urls, dict) else dict.fromkeys(names, urls)
    settings |= {f"{name}_url": by_name[name] for name in names}
    made = Gateway(Settings(port=0, redis_url=redis_url, nats_url=nats_url, shutdown_seconds=1, **settings))
    made.table = RouteTable(routes)
    made.patience = patience or made.patience
    with serving(lambda: server(made)) as port:
        yield f"http://127.0.0.1:{port}"


async def until_async(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Waits for an asynchronous condition and returns what it gave."""
    async with asyncio.timeout(seconds):
        while True:
            with contextlib.suppress(AssertionError, OSError):
                if found := await condition():
                    return found
            await asyncio.sleep(0.01)


async def raw(port: int | None, request: str | bytes) -> bytes:
    """Sends bytes and returns all that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode() if isinstance(request, str) else request)
    try:
        async with asyncio.timeout(60):
            return await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
