"""Identity providers, whom they have vouched for, and sign-ins under way."""

from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from libs.common import sql
from libs.common.postgres import Connection
from services.auth.domain.sso import ARRIVAL_LIFE, FLOW_LIFE, Configuration, Flow, Provider

SQL = sql.load(__file__)

_encode = msgspec.json.Encoder(order="deterministic").encode


class ProviderRow(msgspec.Struct, frozen=True):
    """A row as it is stored; the configuration is JSON text."""

    id: UUID
    name: str
    enabled: bool
    configuration: str
    created_at: datetime
    updated_at: datetime


class Arrival(msgspec.Struct, frozen=True):
    """Who has come back from a provider."""

    user_id: UUID
    mfa: bool


async def providers(connection: Connection, tenant_id: UUID) -> list[Provider]:
    """All providers of a tenant, in the order of their ids."""
    return [_provider(row) for row in await connection.fetch(SQL["providers"], tenant_id)]


async def provider(connection: Connection, tenant_id: UUID, provider_id: UUID) -> Provider | None:
    """A provider."""
    row = await connection.fetchrow(SQL["provider"], tenant_id, provider_id)
    return _provider(row) if row else None


async def secret(connection: Connection, tenant_id: UUID, provider_id: UUID) -> bytes | None:
    """A provider's sealed secret; None where it has none."""
    found: bytes | None = await connection.fetchval(SQL["secret"], tenant_id, provider_id)
    return found


async def insert(connection: Connection, tenant_id: UUID, it: Provider, sealed: bytes | None) -> None:
    """A new provider."""
    values = (it.name, it.enabled, _encode(it.configuration).decode(), sealed, it.created_at)
    await connection.execute(SQL["insert"], tenant_id, it.id, *values)


async def update(connection: Connection, tenant_id: UUID, it: Provider, sealed: bytes | None) -> None:
    """A provider as it is now."""
    values = (it.name, it.enabled, _encode(it.configuration).decode(), sealed, it.updated_at)
    await connection.execute(SQL["update"], tenant_id, it.id, *values)


async def delete(connection: Connection, tenant_id: UUID, provider_id: UUID) -> None:
    """Deletes a provider, and who its subjects are."""
    await connection.execute(SQL["delete"], tenant_id, provider_id)


async def user_of(connection: Connection, tenant_id: UUID, provider_id: UUID, subject: str) -> UUID | None:
    """Who a provider's subject is here."""
    found: UUID | None = await connection.fetchval(SQL["user_of"], tenant_id, provider_id, subject)
    return found


async def link(
    connection: Connection, tenant_id: UUID, provider_id: UUID, subject: str, user_id: UUID, now: datetime
) -> None:
    """Notes who a provider's subject is here."""
    await connection.execute(SQL["link"], tenant_id, provider_id, subject, user_id, now)


async def insert_flow(
    connection: Connection, tenant_id: UUID, digest: bytes, browser: bytes, it: Flow, now: datetime
) -> None:
    """A sign-in that goes to its provider; those of the tenant that never came back are forgotten."""
    await connection.execute(SQL["forget_flows"], tenant_id, now)
    values = (it.provider_id, it.nonce, it.verifier, it.redirect_uri, it.return_to, now + FLOW_LIFE)
    await connection.execute(SQL["insert_flow"], tenant_id, digest, browser, *values)


async def take_flow(
    connection: Connection, tenant_id: UUID, digest: bytes, browser: bytes, provider_id: UUID, now: datetime
) -> Flow | None:
    """A sign-in that comes back in time, to the browser that began it; it does so once."""
    row = await connection.fetchrow(SQL["take_flow"], tenant_id, digest, browser, provider_id, now)
    return Flow(*row) if row else None


async def take_posted_flow(
    connection: Connection, tenant_id: UUID, digest: bytes, provider_id: UUID, now: datetime
) -> tuple[Flow, bytes] | None:
    """The same for an answer that comes without cookies, and the hash of the browser that has to fetch the tokens."""
    row = await connection.fetchrow(SQL["take_posted_flow"], tenant_id, digest, provider_id, now)
    return (Flow(*row[:-1]), row[-1]) if row else None


async def note_assertion(
    connection: Connection, tenant_id: UUID, provider_id: UUID, digest: bytes, expires_at: datetime, now: datetime
) -> bool:
    """Takes an assertion; false where it was taken before."""
    await connection.execute(SQL["forget_assertions"], tenant_id, now)
    return bool(await connection.fetchval(SQL["note_assertion"], tenant_id, provider_id, digest, expires_at))


async def insert_arrival(
    connection: Connection, tenant_id: UUID, digest: bytes, browser: bytes, it: Arrival, now: datetime
) -> None:
    """Somebody who has come back."""
    await connection.execute(SQL["forget_arrivals"], tenant_id, now)
    values = (it.user_id, it.mfa, now + ARRIVAL_LIFE)
    await connection.execute(SQL["insert_arrival"], tenant_id, digest, browser, *values)


async def take_arrival(
    connection: Connection, tenant_id: UUID, digest: bytes, browser: bytes, now: datetime
) -> Arrival | None:
    """Who has come back to that browser; told once."""
    row = await connection.fetchrow(SQL["take_arrival"], tenant_id, digest, browser, now)
    return Arrival(*row) if row else None


def _provider(row: asyncpg.Record) -> Provider:
    it = ProviderRow(*row)
    configuration = msgspec.json.decode(it.configuration, type=Configuration)
    return Provider(it.id, it.name, it.enabled, configuration, it.created_at, it.updated_at)
