"""The one factory of the four services: health, metrics, logs, problems, OpenAPI, identity and a graceful end."""

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import structlog
import uvicorn
from litestar import Litestar, Request, Response, Router, get
from litestar.di import NamedDependency, Provide
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ASGIApp, ControllerRouterHandler

from libs.common import cache, health, idempotency, logging, migrate, openapi, tracing
from libs.common.answers import Seal
from libs.common.bus import Bus
from libs.common.edge import Edge
from libs.common.errors import Unauthenticated, Unavailable
from libs.common.http import EXCEPTION_HANDLERS, JsonBody
from libs.common.identity import Principal
from libs.common.measures import Measures, Pools
from libs.common.metrics import Metrics
from libs.common.outbox import Relay
from libs.common.permissions import Permissions
from libs.common.plan_store import Plans
from libs.common.postgres import Database
from libs.common.purge import Purger
from libs.common.resilience import backoff, end, keep_running
from libs.common.roles import RoleStore
from libs.common.server import Server
from libs.common.settings import DatabaseSettings, ServiceSettings, latest
from libs.common.tls import certificates, serving
from libs.common.tokens import Fetch, KeySet, TokenVerifier, bearer
from libs.common.transactions import translate

log = structlog.get_logger()

Hook = Callable[[], Awaitable[None]]

RARELY = (50_000, 20, 50)
"""When the collector looks for circles, of which hardly any are made; what is made for a large request has none."""


class Platform:
    """What every service has at hand, made without connecting to anything."""

    def __init__(self, name: str, settings: DatabaseSettings, fetch_keys: Fetch | None = None) -> None:
        self.name = name
        self.settings = settings
        self.metrics = Metrics(name, settings.version)
        self.database = Database.of(settings, f"millrace {name}")
        self.certificates = certificates(settings)
        nats_url = latest("NATS_URL", settings.nats_url)
        replicas = settings.stream_replicas
        self.bus = Bus(nats_url, f"millrace {name}", replicas=replicas, tls=self.certificates.client)
        self.redis = cache.connect(settings, 1.0)
        self.keys = KeySet(fetch_keys or self._ask_keys)
        self.verifier = TokenVerifier(self.keys)
        self.roles = RoleStore(name, self.database, self.bus)
        self.purger = Purger(name, self.database)
        self.plans = Plans(self.bus)
        self.restrict: Callable[[str, str, Principal], None] | None = None
        self.migrations = Path("services") / name / "migrations"
        if not self.migrations.is_absolute():
            self.migrations = Path(__file__).parents[2] / self.migrations
        self.pools = Pools(self.metrics.registry)
        self.pools.add("primary", self.database)
        self._measures = Measures(self.database, self.bus, self.metrics.registry)
        self._relay = Relay(name, self.database, self.bus, self.metrics.registry)
        self._loops: list[asyncio.Task[None]] = []

    async def _ask_keys(self) -> list[dict[str, Any]]:
        answer = await self.bus.request("rpc.auth.jwks", {}, dict[str, list[dict[str, Any]]])
        return answer["keys"]

    async def _keys_rotated(self, _: bytes) -> None:
        await self.keys.refresh()
        self.verifier.forget()

    async def start(self) -> None:
        """Opens pools and connections, in whatever order the others come up."""
        if self.settings.migration_database_url:
            await self._migrate(self.settings.migration_database_url)
        await self.database.start()
        await self.bus.start()
        self.bus.listen("evt.*.auth.key.rotated", self._keys_rotated)
        self.roles.start()
        self._loops.append(asyncio.create_task(self._relay.run()))
        self._loops.append(asyncio.create_task(keep_running("measures", self._measures.run)))
        self.purger.follow(self.bus)
        self.plans.start()
        self._loops.append(asyncio.create_task(self.purger.run()))
        if self.certificates.given:
            self._loops.append(asyncio.create_task(self.certificates.follow()))

    def keep(self, loop: Coroutine[Any, Any, None]) -> None:
        """Runs a loop until the process ends."""
        self._loops.append(asyncio.create_task(loop))

    async def _migrate(self, dsn: str) -> None:
        for delay in backoff(0.2, 2.0):
            try:
                applied = await migrate.up(dsn, self.name, self.migrations)
                await log.ainfo("migrated", applied=applied)
                return
            except Exception as error:
                # A server that is starting up, or going down, answers with errors of its own.
                if not isinstance(translate(error), Unavailable):
                    raise
                await log.awarning("waiting for the database", error=repr(error))
                await asyncio.sleep(delay)

    async def stop(self) -> None:
        """Ends loops first, then connections."""
        await end(self._loops)
        await self.bus.stop()
        await self.redis.aclose()
        await self.database.stop()

    async def authenticate(self, token: str) -> tuple[Principal, Permissions]:
        """The principal of a token, and what it may do."""
        principal = self.verifier.cached(token) or await self.verifier.verify(token)
        permissions = self.roles.cached(principal) or await self.roles.permissions(principal)
        logging.bind(tenant=str(principal.tenant_id), user=str(principal.id))
        return principal, permissions

    async def check_database(self) -> None:
        """Raises unless a statement can be run."""
        async with self.database.system() as connection:
            await connection.execute("select 1")

    async def check_migrations(self) -> None:
        """Raises unless the schema has every migration that this code needs."""
        needed = len(migrate.read(self.name, self.migrations))
        async with self.database.system() as connection:
            present = await connection.fetchval("select coalesce(max(number), 0) from schema_migrations")
        if present < needed:
            raise Unavailable(f"the schema is at {present}, the code needs {needed}; run 'millrace migrate'")

    async def check_broker(self) -> None:
        """Raises unless NATS answers."""
        await self.bus.client.flush(1)

    async def check_cache(self) -> None:
        """Raises unless Redis answers."""
        await self.redis.ping()


def create_app(
    platform: Platform,
    routes: Sequence[ControllerRouterHandler],
    *,
    root_routes: Sequence[ControllerRouterHandler] = (),
    dependencies: Mapping[str, Any] | None = None,
    on_start: Sequence[Hook] = (),
    on_stop: Sequence[Hook] = (),
    shortcut: Callable[[ASGIApp], ASGIApp] | None = None,
    idempotent: bool = False,
    seal: Seal | None = None,
) -> ASGIApp:
    """The service as an ASGI application. `routes` live below `/api/v1`, `root_routes` below `/`.

    Handlers may ask for `platform`, `principal` and `permissions`, and for what `dependencies` gives by name.
    A `shortcut` stands before the framework and may answer the hottest requests itself. An `idempotent` service has the
    table of `idempotency.sql`, in which `seal` encrypts what it answered.
    """
    values = {"platform": platform, **(dependencies or {})}
    provided = {name: _constant(value) for name, value in values.items()}
    exporter = platform.bus.exporter = _exporter(platform)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        await platform.start()
        for hook in on_start:
            await hook()
        if idempotent:
            platform.keep(once.run())
        yield
        for hook in on_stop:
            await hook()
        await platform.stop()
        if exporter:
            exporter.stop()

    app = Litestar(
        [Router("/api/v1", route_handlers=list(routes)), *root_routes, *_operating(platform, idempotent=idempotent)],
        dependencies={
            **provided,
            "identity": Provide(_identity(platform)),
            "principal": Provide(_principal, sync_to_thread=False),
            "permissions": Provide(_permissions, sync_to_thread=False),
        },
        dto=JsonBody,
        return_dto=None,
        exception_handlers=EXCEPTION_HANDLERS,
        lifespan=[lifespan],
        openapi_config=_openapi(platform),
        logging_config=None,
        request_max_body_size=platform.settings.max_body_bytes,
    )
    limit = platform.settings.max_body_bytes
    once = idempotency.Idempotent(app, platform.name, platform.database, platform.authenticate, limit, seal)
    inner: ASGIApp = once if idempotent else app
    return Edge(shortcut(inner) if shortcut else inner, platform.metrics, exporter)


def serve(
    app: ASGIApp, settings: ServiceSettings, *, farewell: Callable[[], None] | None = None, **options: Any
) -> None:
    """Runs an application under uvicorn until SIGTERM or SIGINT, then lets what is in flight finish."""
    config = uvicorn.Config(
        app, host=settings.host, port=settings.port, loop="uvloop", http="httptools", ws="websockets-sansio",
        log_config=None, access_log=False, server_header=False, timeout_keep_alive=75, backlog=2048,
        timeout_graceful_shutdown=int(settings.shutdown_seconds), **serving(settings), **options,
    )  # fmt: skip
    server = Server(config, farewell, settings.unix_socket)
    gc.collect()
    gc.freeze()  # What was imported stays: a full collection would walk it for some 20 ms.
    gc.set_threshold(*RARELY)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(3)


def _exporter(platform: Platform) -> tracing.Exporter | None:
    settings = platform.settings
    if settings.otel_exporter_otlp_endpoint is None:
        return None
    return tracing.Exporter(platform.name, settings.version, settings.otel_exporter_otlp_endpoint)


def _constant(value: object) -> Provide:
    return Provide(lambda: value, sync_to_thread=False)


def _identity(platform: Platform) -> Callable[..., Awaitable[tuple[Principal, Permissions]]]:
    async def identity(request: Request[Any, Any, Any]) -> Any:
        found = await platform.authenticate(bearer(request.headers.get("authorization")))
        if platform.restrict is not None:
            platform.restrict(request.method, request.scope["path"], found[0])
        return found

    return identity


def _principal(identity: NamedDependency[Any]) -> Principal:
    principal: Principal = identity[0]
    return principal


def _permissions(identity: NamedDependency[Any]) -> Permissions:
    permissions: Permissions = identity[1]
    return permissions


def _openapi(platform: Platform) -> OpenAPIConfig:
    scheme = SecurityScheme(type="http", scheme="bearer", bearer_format="JWT")
    return OpenAPIConfig(
        title=f"Millrace {platform.name}",
        version=platform.settings.version,
        components=Components(security_schemes={"bearer": scheme}),
        security=[{"bearer": []}],
        render_plugins=[],
        use_handler_docstrings=True,
    )


def _operating(platform: Platform, *, idempotent: bool) -> list[ControllerRouterHandler]:
    required: dict[str, health.Check] = {"database": platform.check_database, "migrations": platform.check_migrations}
    others: dict[str, health.Check] = {"broker": platform.check_broker, "cache": platform.check_cache}
    version = platform.settings.version
    examples = openapi.read_examples(platform.name), openapi.read_examples(platform.name, "answers")
    described: list[bytes] = []

    async def answer(
        required: Mapping[str, health.Check], others: Mapping[str, health.Check]
    ) -> Response[health.Health]:
        found = await health.report(platform.name, version, required, others)
        return Response(found, status_code=503 if found.status == "failed" else 200)

    @get(["/health", "/health/ready"], include_in_schema=False)
    async def ready() -> Response[health.Health]:
        return await answer(required, others)

    @get("/health/live", include_in_schema=False)
    async def live() -> Response[health.Health]:
        return await answer({}, {})

    @get("/health/database", include_in_schema=False)
    async def database() -> Response[health.Health]:
        return await answer(required, {})

    @get("/metrics", include_in_schema=False)
    async def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
        text, content_type = platform.metrics.render(request.headers.get("accept", ""))
        return Response(text, media_type=content_type)

    @get("/openapi.json", include_in_schema=False)
    async def describe(request: Request[Any, Any, Any]) -> Response[bytes]:
        if not described:
            schema = openapi.complete(request.app, request.app.openapi_schema.to_schema(), *examples)
            document = idempotency.document(schema) if idempotent else schema
            described.append(msgspec.json.encode(document))
        return Response(described[0], media_type="application/json")

    return [ready, live, database, metrics, describe]


def anonymous_tenant(request: Request[Any, Any, Any]) -> str:
    """The tenant id that the gateway found for a request without a token."""
    tenant = request.headers.get("x-millrace-tenant")
    if not tenant:
        raise Unauthenticated("The address names no tenant; use the tenant's host or the X-Tenant header")
    return tenant
