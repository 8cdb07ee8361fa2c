"""Composition root of the gateway: settings → resources → the way of a request."""

import asyncio
import gc
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import msgspec
import uvicorn

from gateway.answers import docs
from gateway.answers.hosts import Hosts
from gateway.answers.openapi import OpenApi
from gateway.answers.operating import Operating
from gateway.answers.status import Status
from gateway.api_keys import ApiKeys
from gateway.app import Answer, Arrival, Step, Way
from gateway.exchange import Exchange, Receive, Scope, Send
from gateway.farewell import Server
from gateway.limits.stores import RedisStore
from gateway.route_table import RouteTable
from gateway.server import Patience, protocol_for, sweep_clients
from gateway.settings import Settings, items
from gateway.sockets import SocketWay
from gateway.steps.admit import Admit
from gateway.steps.authenticate import Authenticate
from gateway.steps.cors import Cors
from gateway.steps.forward import Forward
from gateway.steps.headers import read_headers
from gateway.steps.origin import Origin
from gateway.steps.plan import Plan
from gateway.steps.rate_limit import RateLimit
from gateway.steps.request_id import name_request
from gateway.steps.revoked import NotRevoked
from gateway.steps.route import Routing
from gateway.steps.shed import Shed
from gateway.steps.tenant import TenantOfHost, agree
from gateway.tenants import TenantDirectory
from gateway.tunnel import Tunnel
from gateway.upstream.ask import ask
from gateway.upstream.balance import Service, revive_forever
from gateway.upstream.pool import sweep_forever
from libs.common import cache, events, tracing
from libs.common.bus import Bus
from libs.common.errors import Unavailable
from libs.common.metrics import Metrics
from libs.common.resilience import end, keep_running
from libs.common.revocations import Revocations
from libs.common.settings import latest, of_process
from libs.common.tls import certificates, serving
from libs.common.tokens import KeySet, TokenVerifier


class Gateway:
    """One gateway. It is made without an event loop; `start` builds what needs one."""

    way: Way
    socket_way: SocketWay

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.max_connections = settings.max_connections
        self.patience = Patience()
        self.leaving = False
        self.metrics = Metrics("gateway", settings.version)
        self.certificates = certificates(settings)
        nats_url, replicas = latest("NATS_URL", settings.nats_url), settings.stream_replicas
        self.bus = Bus(nats_url, "millrace gateway", replicas=replicas, tls=self.certificates.client)
        self.redis = cache.connect(settings, 0.25)
        self.revocations = Revocations()
        self.table = RouteTable()
        self.verifier = TokenVerifier(KeySet(self._fetch_keys))
        self.services: dict[str, Service] = {}
        self.connections: set[Any] = set()
        self._loops: list[asyncio.Task[None]] = []
        endpoint = settings.otel_exporter_otlp_endpoint
        self._exporter = tracing.Exporter("gateway", settings.version, endpoint) if endpoint else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The lifespan, which is all that uvicorn asks an application for: its protocol hands requests to `enter`."""
        assert scope["type"] == "lifespan"
        await self._lifespan(receive, send)

    def enter(self, exchange: Exchange) -> None:
        """Sends a request on its way."""
        self.way.enter(exchange)

    async def open(self, exchange: Exchange, tunnel: Tunnel) -> None:
        """Takes a WebSocket handshake on."""
        await self.socket_way.open(exchange, tunnel)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await self.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def start(self) -> None:
        """Builds the way of a request and begins listening; nothing else needs to be up."""
        loop = asyncio.get_running_loop()
        urls, tls = self.settings.upstream_urls(), self.certificates.client
        self.services = {name: Service.at(name, found, loop, tls) for name, found in urls.items()}
        self.tenants = TenantDirectory(self.services["auth"], loop.time)
        self._compose(loop)
        await self.bus.start()
        self.bus.listen("evt.*.auth.tenant.*", self._tenant_changed)
        self.bus.listen("evt.*.auth.key.rotated", self._keys_rotated)
        if self.certificates.given:
            self._run(self.certificates.follow())
        self._run(sweep_forever([one for service in self.services.values() for one in service.instances]))
        self._run(revive_forever(self.services.values()))
        self._run(sweep_clients(self.connections, self.patience.sweep))
        self._run(keep_running("revocations", lambda: self.revocations.follow(self.bus), cap=1.0))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self._loops.append(asyncio.create_task(work))

    def _compose(self, loop: asyncio.AbstractEventLoop) -> None:
        settings = self.settings
        arrival: list[Arrival] = [read_headers, name_request, Origin(items(settings.trusted_proxies))]
        keys = ApiKeys(self.services["auth"], self.verifier, self.revocations, loop.time)
        hosts = TenantOfHost(self.tenants, items(settings.base_domains))
        common: list[Step] = [
            Routing(self.table),
            *([Cors(origins)] if (origins := items(settings.cors_origins)) else []),
            hosts,
            Authenticate(self.verifier, keys),
            agree,
            NotRevoked(self.revocations),
            Admit(self.tenants),
        ]
        if settings.rate_limits == "on":
            store = RedisStore(self.redis, loop.time)
            common += [RateLimit(settings, store, loop.time), Plan(self.tenants, store, loop.time)]
        steps: list[Step] = [*common, Shed(self.services, settings.max_in_flight, settings.max_waiting)]
        forward = Forward(settings.max_body_bytes)
        self.way = Way(arrival, self._own_answers(hosts), steps, forward, self.metrics, self._exporter)
        self.socket_way = SocketWay([*arrival, *common], self.services, self.metrics, settings.max_sockets)

    def _own_answers(self, hosts: TenantOfHost) -> dict[bytes, Answer]:
        version = self.settings.version
        checks = {"broker": self._check_broker, "cache": self._check_cache}
        operating = Operating(version, self.metrics, {"keys": self._check_keys}, checks)
        status = Status(self.services, operating.report)
        return {
            **dict.fromkeys((b"/health", b"/health/ready"), operating.ready),
            b"/health/live": operating.live,
            b"/metrics": operating.metrics,
            **dict.fromkeys((b"/api/v1/status", b"/api/status", b"/api/health", b"/api/v1/health"), status),
            b"/internal/hosts": Hosts(hosts),
            b"/openapi.json": OpenApi(self.services, self.table, version),
            **docs.pages(),
        }

    async def stop(self) -> None:
        """Ends loops first, then connections."""
        await end(self._loops)
        for service in self.services.values():
            service.close()
        await self.bus.stop()
        await self.redis.aclose()
        if self._exporter:
            self._exporter.stop()

    async def _fetch_keys(self) -> list[dict[str, Any]]:
        status, body = await ask(self.services["auth"], "/.well-known/jwks.json")
        if status != 200:
            raise Unavailable("auth does not give its keys.", code="upstream-unavailable", retry_after=1)
        return msgspec.json.decode(body, type=dict[str, list[dict[str, Any]]])["keys"]

    async def _keys_rotated(self, _: bytes) -> None:
        await self.verifier.keys.refresh()
        self.verifier.forget()

    async def _tenant_changed(self, payload: bytes) -> None:
        self.tenants.forget(events.decode(payload, msgspec.Raw).tenant_id)

    async def _check_keys(self) -> None:
        await self._fetch_keys()

    async def _check_broker(self) -> None:
        await self.bus.client.flush(1)

    async def _check_cache(self) -> None:
        await self.redis.ping()


def server(gateway: Gateway) -> Server:
    """Uvicorn with the gateway's own protocol."""
    settings = gateway.settings
    config = uvicorn.Config(
        gateway, host=settings.host, port=settings.port, loop="uvloop", http=protocol_for(gateway),
        ws="websockets-sansio", lifespan="on", interface="asgi3", log_config=None, access_log=False,
        server_header=False, proxy_headers=False, timeout_keep_alive=75, backlog=2048,
        timeout_graceful_shutdown=int(settings.shutdown_seconds), **serving(settings),
    )  # fmt: skip
    made = Server(config, gateway)
    gateway.connections = made.server_state.connections
    return made


def main() -> None:
    """Runs the gateway until SIGTERM or SIGINT, then lets what is in flight finish."""
    settings = of_process(Settings, "gateway")
    gc.freeze()  # what was imported stays: a full collection would walk it for 20 ms
    with suppress(KeyboardInterrupt):
        server(Gateway(settings)).run()


if __name__ == "__main__":
    main()
