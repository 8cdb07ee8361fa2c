"""Signing keys and their rotation."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TypeAlias

import asyncpg
import httpx
import jwt
import pytest

from libs.common.bus import Bus
from libs.common.errors import Unavailable
from libs.common.ids import NIL
from libs.common.postgres import Database as Pool
from services.auth.main import build
from services.auth.settings import Settings
from services.auth.usecases.keys import KeyRing
from tests.auth.support import SECRET, Heard, Tenant, problem
from tests.support.asgi import running
from tests.support.postgres import Database
from tests.support.waiting import eventually

Admin: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
WAITING = "select count(*) from pg_locks where not granted and relation = 'outbox'::regclass"
STATES = "select state, count(*) from signing_keys group by 1 order by 1"


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    """The service's pool."""
    pool = Pool(database.dsn("auth"))
    await pool.start()
    yield pool
    await pool.stop()


def ring(pool: Pool, secret: str = SECRET) -> KeyRing:
    """The keys as one instance knows them."""
    return KeyRing(pool, secret, timedelta(minutes=10))


async def kids(http: httpx.AsyncClient) -> list[str]:
    """The ids of the published keys."""
    return [key["kid"] for key in (await http.get("/.well-known/jwks.json")).json()["keys"]]


async def states(admin: Admin) -> list[tuple[str, int]]:
    """How many keys are in which state."""
    return [(row[0], row[1]) for row in await admin.fetch(STATES)]


def signer_of(token: str) -> str:
    """The id of the key that a token is signed with."""
    return str(jwt.get_unverified_header(token)["kid"])


async def test_the_first_keys_are_made_once(pool: Pool, admin: Admin) -> None:
    """Instances that start at once agree on one key that signs and one that will."""
    rings = [ring(pool) for _ in range(5)]
    signers = await asyncio.gather(*(it.signer() for it in rings))
    assert len({signer.kid for signer in signers}) == 1
    assert await states(admin) == [("active", 1), ("next", 1)]


async def test_a_key_is_known_before_it_signs_and_after(tenant: Tenant, bus: Bus, heard: Heard) -> None:
    """After a rotation the key that was published as the next signs, and tokens of the old one are good still."""
    before = await kids(tenant.http)
    answer = await bus.request("rpc.auth.admin.rotate_keys", {}, dict[str, str])
    assert answer["kid"] == before[1]
    assert await heard.wait(NIL, "auth.key.rotated") == [answer]
    assert (await kids(tenant.http))[:2] == before
    assert signer_of((await tenant.sign_in(tenant.email))["access_token"]) == before[1]
    assert signer_of(tenant.told["access_token"]) == before[0]
    assert (await tenant.ask("GET", "/users/me")).status_code == 200


async def test_other_instances_sign_with_the_new_key_soon(tenant: Tenant, auth_settings: Settings, bus: Bus) -> None:
    """An instance that did not rotate hears of it."""
    async with running(build(auth_settings)) as http:
        second = Tenant(tenant.id, tenant.slug, tenant.email, tenant.told, http)
        await second.sign_in(tenant.email)
        kid = (await bus.request("rpc.auth.admin.rotate_keys", {}, dict[str, str]))["kid"]

        async def both() -> bool:
            told = [await it.sign_in(tenant.email) for it in (tenant, second)]
            return {signer_of(it["access_token"]) for it in told} == {kid}

        await eventually(both)
        assert await kids(http) == await kids(tenant.http)


async def test_rotations_at_once_leave_one_key_that_signs(pool: Pool, admin: Admin) -> None:
    """Each rotation is one; between them there is always one active and one next key."""
    rings = [ring(pool) for _ in range(4)]
    rotated = await asyncio.gather(*(it.rotate() for it in rings))
    assert len(set(rotated)) == 4
    assert await states(admin) == [("active", 1), ("next", 1), ("retired", 4)]


async def test_a_rotation_that_is_cut_off_changes_nothing(pool: Pool, admin: Admin) -> None:
    """Killed in the middle it leaves the keys as they were, and the next rotation succeeds."""
    keys = ring(pool)
    await keys.signer()
    before = await admin.fetch("select kid, state from signing_keys order by kid")
    # Announcing the rotation waits for this; the keys have changed places by then.
    await admin.execute("begin; lock table outbox in access exclusive mode")
    rotation = asyncio.create_task(keys.rotate())

    async def waiting() -> bool:
        return bool(await admin.fetchval(WAITING))

    await eventually(waiting)
    await admin.execute("select pg_terminate_backend(pid) from pg_locks where not granted")
    await admin.execute("rollback")
    with pytest.raises(Unavailable):
        await rotation
    assert await admin.fetch("select kid, state from signing_keys order by kid") == before
    await keys.rotate()
    assert await states(admin) == [("active", 1), ("next", 1), ("retired", 1)]


async def test_private_keys_are_encrypted_and_erased(pool: Pool, admin: Admin) -> None:
    """With another secret they are nothing, and a retired key has none."""
    keys = ring(pool)
    await keys.signer()
    with pytest.raises(Unavailable, match="SIGNING_KEY_SECRET"):
        await ring(pool, "another secret of some length").signer()
    await keys.rotate()
    assert await admin.fetchval("select array_agg(state) from signing_keys where private_key is null") == ["retired"]


async def test_keys_whose_tokens_have_ended_are_withdrawn(pool: Pool, admin: Admin) -> None:
    """A retired key is published for the life of its last token, and a little longer."""
    keys = ring(pool)
    await keys.rotate()
    assert len(await keys.jwks()) == 3
    await admin.execute("update signing_keys set retired_at = retired_at - interval '12 min' where state = 'retired'")
    keys.forget()
    assert len(await keys.jwks()) == 2


async def test_a_token_of_another_key_is_refused(tenant: Tenant) -> None:
    """Signed by somebody else, under whatever name."""
    claims = jwt.decode(tenant.told["access_token"], options={"verify_signature": False})
    kid = signer_of(tenant.told["access_token"])
    forged = jwt.encode(claims, "a secret that is long enough to be one", "HS256", headers={"kid": kid})
    for token in (forged, tenant.told["access_token"][:-4] + "AAAA", "nonsense"):
        assert problem(await tenant.ask("GET", "/users/me", token)) == (401, "invalid-token")


async def test_the_secret_at_rest_is_replaced_without_an_outage(pool: Pool) -> None:
    """With both secrets old keys still sign; rotated keys are sealed with the new one, and need the old no longer."""
    new = "another secret of sufficient length"
    first = await ring(pool).signer()
    both = ring(pool, f"{new}\n{SECRET}")
    assert (await both.signer()).kid == first.kid
    await both.rotate()
    await both.rotate()
    assert (await ring(pool, new).signer()).kid == (await both.signer()).kid


async def test_what_has_ever_signed_can_be_looked_up(pool: Pool, admin: Admin) -> None:
    """For documents, also when the key is retired for long; tokens are not verified by it, nor is the next key told."""
    keys = ring(pool)
    document = (await keys.signer()).sign_document(b"a report")
    kid = jwt.get_unverified_header(document)["kid"]
    await keys.rotate()
    await admin.execute("update signing_keys set retired_at = now() - interval '1 year' where state = 'retired'")
    keys.forget()
    now, ever = await keys.jwks(), {key.kid: key for key in await keys.history()}
    assert kid not in {key.kid for key in now}
    key = jwt.PyJWK({"kty": ever[kid].kty, "crv": ever[kid].crv, "x": ever[kid].x, "alg": ever[kid].alg})
    assert jwt.PyJWS().decode(document, key, algorithms=["EdDSA"]) == b"a report"
    assert {key.kid for key in now} - ever.keys() == {
        await admin.fetchval("select kid from signing_keys where state = 'next'")
    }
