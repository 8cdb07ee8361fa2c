"""Another `SIGNING_KEY_SECRET` takes the place of an old one, which is needed no longer."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TypeAlias

import asyncpg
import msgspec
import pyotp
import pytest

from libs.common.ids import new_id
from libs.common.postgres import Database as Pool
from libs.common.sealing import START, After, Resealed, Seal
from services.auth.main import build
from services.auth.settings import Settings
from services.auth.usecases import resealing
from services.auth.usecases.audit import Auditor
from services.auth.usecases.keys import KeyRing
from services.auth.usecases.older_keys import OlderKeys
from services.auth.usecases.resealing import Resealer
from tests.auth.support import SECRET, Tenant
from tests.support.asgi import running
from tests.support.postgres import Database

Admin: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
NEW = "another secret of sufficient length"
SEALED = """
select 'second factors', user_id, secret from totp_secrets
union all select 'identity providers', id, client_secret from identity_providers where client_secret is not null
union all select 'mails', id, message from mails
"""
TENANT = """
insert into tenants select (jsonb_populate_record(t, jsonb_build_object('id', $2::uuid, 'slug', $3::text))).*
from tenants t where id = $1
"""
USER = """
insert into users select (jsonb_populate_record(u, jsonb_build_object('tenant_id', $3::uuid, 'id', $4::uuid))).*
from users u where tenant_id = $1 and email = $2
"""
FACTOR = "insert into totp_secrets (tenant_id, user_id, secret, created_at) values ($1, $2, $3, now())"
PROVIDER = "insert into identity_providers values ($1, $2, 'P', true, '{}', $3, now(), now())"
MAIL = "insert into mails (tenant_id, id, message, next_at) values ($1, $2, $3, now() + interval '1 day')"
LOST = """
update totp_secrets set secret = 'lost'
where user_id = (select user_id from totp_secrets order by user_id limit 1) returning user_id
"""


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    """The service's pool."""
    pool = Pool(database.dsn("auth"))
    await pool.start()
    yield pool
    await pool.stop()


def resealer(pool: Pool, secret: str) -> Resealer:
    """What an instance with that secret goes through the tables with."""
    older = OlderKeys(pool, secret, {purpose: Seal(secret, purpose) for purpose in ("second factors", "audit log")})
    return Resealer(pool, secret, KeyRing(pool, secret, timedelta(minutes=10)), older)


async def is_sound(pool: Pool, secret: str, tenant: Tenant) -> bool:
    """Whether an instance with that secret finds the tenant's audit log as it was written, up to its end."""
    chain = Seal(secret, "audit log")
    checked = await Auditor(pool, chain, OlderKeys(pool, secret, {"audit log": chain})).check(tenant.id, 0, b"")
    return checked.end and checked.broken_at is None


async def through(it: Resealer) -> list[Resealed]:
    """All batches."""
    after: After | None = START
    told = []
    while after is not None:
        told.append(await it.step(after))
        after = told[-1].after
    return told


async def fill(admin: Admin, tenant: Tenant, count: int) -> None:
    """Second factors, providers and mails of several tenants, sealed with the old secret; one provider has none."""
    for _ in range(count):
        other, user, provider, mail = (new_id() for _ in range(4))
        await admin.execute(TENANT, tenant.id, other, other.hex)
        await admin.execute(USER, tenant.id, tenant.email, other, user)
        await admin.execute(FACTOR, other, user, Seal(SECRET, "second factors").close(b"a secret", user.bytes))
        await admin.execute(PROVIDER, other, user, None)
        secret = Seal(SECRET, "identity providers").close(b"a secret", provider.bytes)
        await admin.execute(PROVIDER, other, provider, secret)
        await admin.execute(MAIL, other, mail, Seal(SECRET, "mails").close(b"{}", mail.bytes))


async def test_after_resealing_the_old_secret_is_not_needed(
    tenant: Tenant, auth_settings: Settings, admin: Admin, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sealed with the old one, all is sealed anew in batches, once; then with the new one alone everything opens."""
    monkeypatch.setattr(resealing, "BATCH", 2)
    user = await tenant.add("member")
    token = (await tenant.sign_in(user["email"]))["access_token"]
    app = pyotp.TOTP((await tenant.ask("POST", "/mfa/totp", token)).json()["secret"])
    confirmed = await tenant.ask("POST", "/mfa/totp/confirm", token, json={"code": app.now()})
    code, another, *_ = confirmed.json()["recovery_codes"]
    # The service runs and sends what it finds: no more mails than these, and not before their time.
    await admin.execute("delete from mails")
    await fill(admin, tenant, 5)
    both = resealer(pool, f"{NEW}\n{SECRET}")
    broken_off = await both.step(After(1))
    assert (broken_off.resealed, broken_off.after is not None) == (2, True)
    told = await through(both)
    assert max(it.resealed for it in told[1:]) == 2
    assert {it.mark for it in told} == {Seal(NEW, "resealing").mark}
    assert sum(it.unreadable for it in told) == 0
    kept = await admin.fetch(SEALED)
    assert len(kept) == 16
    assert all(Seal(NEW, purpose).open(secret, id_.bytes) for purpose, id_, secret in kept)
    assert sum(it.resealed for it in told) == 16 - 2 + 2 + 2, "and the two signing keys, and two of hashes"
    assert sum(it.resealed for it in await through(both)) == 0
    assert await is_sound(pool, NEW, tenant)
    async with running(build(msgspec.structs.replace(auth_settings, signing_key_secret=NEW))) as http:
        alone = Tenant(tenant.id, tenant.slug, tenant.email, tenant.told, http)
        half = await alone.sign_in(user["email"])
        await admin.execute("update totp_secrets set last_step = 0")
        done = await alone.anonymous("/auth/mfa/verify", {"mfa_token": half["mfa_token"], "code": app.now()})
        assert done.status_code == 200, done.text
        assert (await alone.ask("GET", "/users/me", done.json()["access_token"])).status_code == 200
        assert await recovered(alone, user["email"], code) == 200, "a code from before"
        assert await recovered(alone, user["email"], code) != 200, "once"
        entries = (await alone.ask("GET", "/admin/audit-log?action=user.created")).json()["items"]
        assert user["name"] in {entry["target"]["name"] for entry in entries}, "names are read"
    newest = "the newest secret of sufficient length"
    await through(resealer(pool, f"{newest}\n{NEW}"))
    assert await is_sound(pool, newest, tenant), "and through as many secrets as there were"
    assert not await is_sound(pool, SECRET, tenant)
    async with running(build(msgspec.structs.replace(auth_settings, signing_key_secret=newest))) as http:
        alone = Tenant(tenant.id, tenant.slug, tenant.email, tenant.told, http)
        assert await recovered(alone, user["email"], another) == 200


async def recovered(tenant: Tenant, email: str, code: str) -> int:
    """The status of a sign-in by a recovery code."""
    half = await tenant.sign_in(email)
    done = await tenant.anonymous("/auth/mfa/verify", {"mfa_token": half["mfa_token"], "code": code})
    return done.status_code


async def test_what_no_secret_opens_is_left_and_counted(tenant: Tenant, admin: Admin, pool: Pool) -> None:
    """The rest is sealed anew nevertheless, and the same is told again."""
    await fill(admin, tenant, 2)
    lost = await admin.fetchval(LOST)
    both = resealer(pool, f"{NEW}\n{SECRET}")
    for resealed in (1, 0):
        told = await both.step(After(1))
        assert (told.resealed, told.unreadable) == (resealed, 1)
    assert await admin.fetchval("select secret from totp_secrets where user_id = $1", lost) == b"lost"
