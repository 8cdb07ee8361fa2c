"""Row level security of auth's own tables, with rows of two tenants in each of them."""

from collections.abc import AsyncIterator
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import pyotp
import pytest

from libs.common.bus import Bus
from tests.auth.authenticator import Browser
from tests.auth.support import Tenant
from tests.support.postgres import Database
from tests.support.waiting import eventually

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

TABLES = (
    "domains", "users", "roles", "role_members", "sessions", "refresh_tokens", "role_grants", "inbox",
    "api_keys", "totp_secrets", "recovery_codes", "mfa_challenges",
    "mailed_tokens", "audit_heads", "domain_claims", "passkeys",
    "passkey_challenges",
)  # fmt: skip


async def second_factor(it: Tenant) -> None:
    """Gives an owner a second factor, and begins a sign-in with it."""
    secret = (await it.ask("POST", "/mfa/totp")).json()["secret"]
    await it.ask("POST", "/mfa/totp/confirm", json={"code": pyotp.TOTP(secret).now()})
    await it.sign_in(it.email)


@pytest.fixture
async def two(tenant: Tenant, other: Tenant, bus: Bus, admin: Connection) -> tuple[UUID, UUID]:
    """Two tenants that both have rows in every table."""
    for it in (tenant, other):
        await admin.execute("insert into domains (tenant_id, host) values ($1, $2)", it.id, f"{it.slug}.example.com")
        await it.ask("POST", "/api-keys", json={"name": "Script", "roles": ["viewer"]})
        await it.ask("POST", "/organizations/current/domains", json={"host": "crm.example.org"})
        await second_factor(it)
        await Browser(it).register()
        await Browser(it).ask("/passkeys/options", token=it.told["access_token"])

    async def inboxes() -> bool:
        return int(await admin.fetchval("select count(distinct tenant_id) from inbox")) == 2

    await eventually(inboxes)
    return tenant.id, other.id


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Connection]:
    """A connection as the service's own role, in a transaction that is rolled back."""
    connection = await asyncpg.connect(database.dsn("auth"))
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()
    await connection.close()


async def enter(connection: Connection, tenant_id: UUID) -> None:
    """Makes the transaction one of a tenant."""
    await connection.execute("select set_config('app.tenant_id', $1, true)", str(tenant_id))


@pytest.mark.parametrize("table", TABLES)
async def test_a_statement_that_forgets_the_tenant_sees_and_changes_its_own_rows_only(
    two: tuple[UUID, UUID], connection: Connection, admin: Connection, table: str
) -> None:
    """Neither select nor update nor delete without a where clause reaches a row of the other tenant."""
    mine, theirs = two
    await enter(connection, mine)
    counts = {row[0]: row[1] for row in await admin.fetch(f"select tenant_id, count(*) from {table} group by 1")}  # noqa: S608
    assert counts[theirs] > 0
    seen = await connection.fetch(f"select tenant_id, count(*) from {table} group by 1")  # noqa: S608
    assert [tuple(row) for row in seen] == [(mine, counts[mine])]
    assert await connection.execute(f"update {table} set tenant_id = tenant_id") == f"UPDATE {counts[mine]}"  # noqa: S608
    if table in ("domains", "role_members", "refresh_tokens", "role_grants", "inbox"):
        assert await connection.execute(f"delete from {table}") == f"DELETE {counts[mine]}"  # noqa: S608


@pytest.mark.parametrize("table", [*TABLES, "outbox"])
async def test_a_row_cannot_be_given_to_another_tenant(
    two: tuple[UUID, UUID], connection: Connection, admin: Connection, table: str
) -> None:
    """A row with another tenant's id is refused, whatever else it says."""
    mine, theirs = two
    await enter(connection, mine)
    statements: dict[str, tuple[str, tuple[Any, ...]]] = {
        "outbox": (
            "insert into outbox (tenant_id, event_id, subject, payload) values ($1, gen_random_uuid(), 'evt', '{}')",
            (theirs,),
        )
    }
    statement, values = statements.get(table, (f"update {table} set tenant_id = $1", (theirs,)))  # noqa: S608
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        await connection.execute(statement, *values)


async def test_the_directory_shows_a_tenant_to_whom_names_it(
    tenant: Tenant, other: Tenant, connection: Connection
) -> None:
    """Without a where clause one sees nothing; by naming a slug, that one tenant, and may not change it."""
    assert await connection.fetch("select slug from tenants") == []
    await connection.execute("select set_config('app.lookup', $1, true)", other.slug)
    assert [row["slug"] for row in await connection.fetch("select slug from tenants")] == [other.slug]
    await enter(connection, tenant.id)
    assert await connection.execute("update tenants set name = 'Mine'") == "UPDATE 1"
    assert {row[0] for row in await connection.fetch("select name from tenants")} == {"Mine", "Acme"}
    assert await connection.execute("delete from tenants where id = $1", other.id) == "DELETE 0"


async def test_the_outbox_is_read_by_the_relay_alone(tenant: Tenant, connection: Connection) -> None:
    """The service writes into its outbox and cannot look into it."""
    await enter(connection, tenant.id)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.fetch("select id from outbox")
