"""The gateway's copy of the tenant directory: who a host name or slug belongs to, asked of auth and remembered."""

import asyncio
from collections.abc import Callable
from functools import lru_cache
from typing import Literal, TypeVar
from urllib.parse import quote
from uuid import UUID

import msgspec

from gateway.route_table import Route
from gateway.upstream.ask import ask
from gateway.upstream.balance import Service
from libs.common.errors import Forbidden, Unavailable
from libs.common.networks import is_within

FRESH_SECONDS = 300.0
ABSENT_SECONDS = 5.0
CAPACITY = 10_000
SAVING = frozenset({"auth", "auth/login", "auth/mfa/verify", "organizations", "sessions"})

K = TypeVar("K")

By = Literal["host", "slug", "id"]


class Tenant(msgspec.Struct, frozen=True):
    """A tenant as auth tells of it; `addresses` are the networks that it allows, none for all.

    `requests_per_minute` and `requests_per_day` are what its plan allows, if it limits them.
    """

    id: UUID
    slug: str
    name: str
    status: str
    addresses: tuple[str, ...] = ()
    requests_per_minute: int | None = None
    requests_per_day: int | None = None

    def allows(self, address: str) -> bool:
        """Whether somebody may come from that address."""
        return not self.addresses or _is_within(address, self.addresses)


class Remembered(msgspec.Struct):
    """An answer of auth, and until when it is fresh."""

    tenant: Tenant | None
    until: float


class TenantDirectory:
    """Resolves tenants; answers are cached, also that there is none. While auth is away, stale answers serve."""

    def __init__(self, auth: Service, clock: Callable[[], float]) -> None:
        self._auth = auth
        self._clock = clock
        self._answers: dict[tuple[By, str], Remembered] = {}
        self._by_id: dict[UUID, Remembered] = {}
        self._hosts: dict[str, tuple[UUID, float]] = {}
        self._asking: dict[tuple[By, str], asyncio.Task[Tenant | None]] = {}

    async def find(self, by: By, name: str) -> Tenant | None:
        """The tenant of that host name, slug or id, or None."""
        known = self._by_id.get(UUID(name)) if by == "id" else self._answers.get((by, name))
        if known is not None and known.until > self._clock():
            return known.tenant
        try:
            return await self._ask_once(by, name)
        except Unavailable:
            if known is None:
                raise
            return known.tenant

    def known(self, tenant_id: UUID) -> Tenant | None:
        """A tenant that was asked for before, by whatever name, and is fresh."""
        found = self._by_id.get(tenant_id)
        return found.tenant if found is not None and found.until > self._clock() else None

    def known_host(self, host: str) -> UUID | None:
        """The active tenant of a `Host` header that was resolved before and is fresh."""
        found = self._hosts.get(host)
        return found[0] if found is not None and found[1] > self._clock() else None

    def note_host(self, host: str, tenant_id: UUID) -> None:
        """Remembers what a `Host` header was resolved to."""
        if len(self._hosts) >= CAPACITY:
            self._hosts.clear()
        self._hosts[host] = (tenant_id, self._clock() + FRESH_SECONDS)

    def forget(self, tenant_id: UUID) -> None:
        """Forgets a tenant that has changed, and every "there is none", which may have become wrong."""
        self._hosts.clear()
        self._by_id.pop(tenant_id, None)
        self._answers = {
            key: known for key, known in self._answers.items() if known.tenant and known.tenant.id != tenant_id
        }

    async def _ask_once(self, by: By, name: str) -> Tenant | None:
        key = (by, name)
        task = self._asking.get(key)
        if task is None:
            task = asyncio.create_task(self._ask(by, name))
            self._asking[key] = task
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        return await asyncio.shield(task)

    async def _ask(self, by: By, name: str) -> Tenant | None:
        status, body = await ask(self._auth, f"/internal/tenants/resolve?{by}={quote(name)}")
        if status not in (200, 404):
            raise Unavailable("The tenant directory is away.", code="upstream-unavailable", retry_after=1)
        tenant = msgspec.json.decode(body, type=Tenant) if status == 200 else None
        remembered = Remembered(tenant, self._clock() + (FRESH_SECONDS if tenant else ABSENT_SECONDS))
        if by != "id":
            _put(self._answers, (by, name), remembered)
            if tenant is not None:
                _put(self._by_id, tenant.id, remembered)
        else:
            _put(self._by_id, UUID(name), remembered)
        return tenant


def _put(memory: dict[K, Remembered], key: K, remembered: Remembered) -> None:
    if len(memory) >= CAPACITY and key not in memory:
        memory.pop(next(iter(memory)))
    memory[key] = remembered


@lru_cache(4096)
def _is_within(address: str, networks: tuple[str, ...]) -> bool:
    return is_within(address, networks)


def refuse_inactive(tenant: Tenant, route: Route | None) -> None:
    """A tenant that is suspended or deleted is not served; auth knows who may save one that ends."""
    if tenant.status == "deleting" and route is not None and route.pattern in SAVING:
        return
    if tenant.status != "active":
        raise Forbidden(f"The organization {tenant.slug} is {tenant.status}.", code="tenant-inactive")
