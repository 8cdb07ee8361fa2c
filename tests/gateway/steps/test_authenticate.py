"""Who asks: tokens, and sessions that were ended."""

import time
from typing import Any

import httpx
import msgspec
import pytest

from libs.common.bus import Bus, Outgoing
from libs.common.identity import Principal
from libs.common.ids import new_id
from libs.common.revocations import Revocations, Revoked
from tests.gateway.support import DEMO, OTHER, bearer, gateway_for, token, until_async

PATH = "/api/v1/users/me"


@pytest.mark.parametrize("headers", [
    {}, {"authorization": "Basic YTpi"}, {"authorization": "Bearer"}, {"authorization": "Bearer a.b.c"},
    {"authorization": "Bearer " + "x" * 20_000}, bearer(token(exp=time.time() - 60)), bearer(token(aud="other")),
    bearer(token(iss="other")), bearer(token()[:-8] + "AAAAAAAA"), bearer(token(tid="x")),
])  # fmt: skip
async def test_without_good_credentials(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    """Absent, malformed, expired, foreign and forged tokens are 401 with a challenge."""
    answer = await client.get(PATH, headers=headers)

    assert (answer.status_code, answer.headers["www-authenticate"][:6]) == (401, "Bearer")


async def test_sign_in_needs_no_token(client: httpx.AsyncClient) -> None:
    """A stale token does not keep anyone from signing in."""
    answer = await client.post("/api/v1/auth/login", headers=bearer("stale"), json={"email": "a@b.c"})

    assert answer.status_code == 200


async def publish(nats_url: str, tenant_id: object, revoked: Revoked) -> None:
    """Announces a revocation as auth does."""
    bus = Bus(nats_url, "test")
    await bus.start()
    await bus.ready()
    document = {
        "id": new_id(), "source": "/millrace/auth", "type": "auth.session.revoked", "subject": "x", "time": "x",
        "tenantid": tenant_id, "data": revoked,
    }  # fmt: skip
    subject = f"evt.{tenant_id}.auth.session.revoked"
    await bus.publish([Outgoing(subject, msgspec.json.encode(document), str(new_id()))])
    await bus.stop()


async def test_a_revoked_session_ends_within_a_second(client: httpx.AsyncClient, nats_url: str) -> None:
    """The access token of an ended session is refused at once; other sessions of the user go on."""
    user, session = new_id(), new_id()
    ended, other = bearer(token(user=user, session=session)), bearer(token(user=user))
    before = await client.get(PATH, headers=ended)
    await publish(nats_url, DEMO, Revoked(session, user, 0))

    async def is_refused() -> httpx.Response | None:
        answer = await client.get(PATH, headers=ended)
        return answer if answer.status_code == 401 else None

    refused = await until_async(is_refused, 1.0)
    after = await client.get(PATH, headers=other)

    assert (before.status_code, refused.json()["type"], after.status_code) == (200, "/problems/session-revoked", 200)


async def test_a_gateway_that_starts_later_knows(services_url: str, redis_url: str, nats_url: str) -> None:
    """Revocations from before its start are replayed to a gateway."""
    user = new_id()
    await publish(nats_url, DEMO, Revoked(None, user, time.time() + 1))
    with gateway_for(services_url, redis_url, nats_url) as url:
        async with httpx.AsyncClient(base_url=url, headers=bearer(token(user=user))) as client:

            async def is_refused() -> bool:
                return (await client.get(PATH)).status_code == 401

            assert await until_async(is_refused)


def _principal(**claims: Any) -> Principal:
    given: dict[str, Any] = {"tenant_id": DEMO, "id": new_id(), "session_id": new_id(), "issued_at": 100.0} | claims
    return Principal(kind="user", name="Ada", roles=(), expires_at=700.0, **given)


def test_what_a_revocation_covers() -> None:
    """A session, or a user's tokens from before a moment, of that tenant alone."""
    revocations, user, session = Revocations(), new_id(), new_id()
    revocations.add(DEMO, Revoked(session, user, 0))
    revocations.add(DEMO, Revoked(None, user, 150.0))

    assert revocations.covers(_principal(session_id=session))
    assert revocations.covers(_principal(id=user, issued_at=149.0))
    assert not revocations.covers(_principal(id=user, issued_at=150.0))
    assert not revocations.covers(_principal(tenant_id=OTHER, id=user, session_id=session))
    assert not revocations.covers(_principal())


def test_revocations_are_forgotten_with_the_tokens() -> None:
    """What no living token can fall under is not kept."""
    revocations = Revocations(token_seconds=-31)
    for _ in range(10):
        revocations.add(DEMO, Revoked(new_id(), new_id(), 0))

    assert len(revocations._sessions) == 1
