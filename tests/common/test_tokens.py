import asyncio
import base64
import time
from typing import Any

import jwt
import pytest

from libs.common.errors import Unauthenticated, Unavailable
from libs.common.ids import new_id
from libs.common.tokens import KeySet, TokenVerifier, bearer
from tests.support.issuer import KID, Issuer

TENANT, ROLE = new_id(), new_id()


class Keys:
    """A source of keys that counts how often it was asked, and can be away."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer
        self.asked = 0
        self.away = False

    async def __call__(self) -> list[dict[str, Any]]:
        """The keys, or the error of a source that does not answer."""
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable("auth does not answer")
        return self.issuer.jwks


@pytest.fixture
def issuer() -> Issuer:
    """Who signs."""
    return Issuer()


@pytest.fixture
def keys(issuer: Issuer) -> Keys:
    """Where its public key is had."""
    return Keys(issuer)


@pytest.fixture
def verifier(keys: Keys) -> TokenVerifier:
    """A verifier that has no key yet."""
    return TokenVerifier(KeySet(keys))


async def test_a_token_names_its_principal(issuer: Issuer, verifier: TokenVerifier) -> None:
    """Tenant, roles, kind and the token itself are known of a verified token."""
    token = issuer.token(TENANT, ROLE)
    principal = await verifier.verify(token)
    assert (principal.tenant_id, principal.roles, principal.kind, principal.token) == (TENANT, (ROLE,), "user", token)


async def test_keys_are_fetched_once(issuer: Issuer, keys: Keys, verifier: TokenVerifier) -> None:
    """Fifty tokens at once, before any key is known, cost one question."""
    await asyncio.gather(*(verifier.verify(issuer.token(TENANT)) for _ in range(50)))
    assert keys.asked == 1


async def test_unknown_keys_are_asked_for_now_and_then(keys: Keys, verifier: TokenVerifier) -> None:
    """A flood of tokens with an unknown key does not become a flood of questions."""
    stranger = Issuer()
    for _ in range(20):
        token = jwt.encode({}, stranger.key, algorithm="EdDSA", headers={"kid": str(new_id())})
        with pytest.raises(Unauthenticated):
            await verifier.verify(token)
    assert keys.asked == 1


async def test_a_source_that_is_away_is_not_the_tokens_fault(
    issuer: Issuer, keys: Keys, verifier: TokenVerifier
) -> None:
    """While no key can be had the answer is 503, and the next try succeeds."""
    keys.away = True
    with pytest.raises(Unavailable):
        await verifier.verify(issuer.token(TENANT))
    keys.away = False
    assert (await verifier.verify(issuer.token(TENANT))).tenant_id == TENANT


async def test_a_verified_token_is_remembered_until_it_expires(issuer: Issuer, verifier: TokenVerifier) -> None:
    """It is found again without a question, and not after its time."""
    token = issuer.token(TENANT, seconds=600)
    principal = await verifier.verify(token)
    assert verifier.cached(token) is principal
    brief = issuer.token(TENANT, seconds=-1)
    assert (await verifier.verify(brief)).tenant_id == TENANT  # within the leeway for clocks that differ
    assert verifier.cached(brief) is None


def changed(token: str, part: int, text: bytes) -> str:
    """A token with one of its parts replaced."""
    parts = token.split(".")
    parts[part] = base64.urlsafe_b64encode(text).decode().rstrip("=")
    return ".".join(parts)


def forged(issuer: Issuer) -> dict[str, str]:
    """Tokens that must not be taken, by what is wrong."""
    good = issuer.token(TENANT, ROLE)
    claims = jwt.decode(good, options={"verify_signature": False})
    public = issuer.key.public_key().public_bytes_raw()
    return {
        "expired": issuer.token(TENANT, seconds=-60),
        "another audience": issuer.token(TENANT, aud="other"),
        "another issuer": issuer.token(TENANT, iss="other"),
        "not yet": issuer.token(TENANT, nbf=time.time() + 600),
        "no tenant": issuer.token(TENANT, tid=None),
        "a tenant that is none": issuer.token(TENANT, tid="x"),
        "another kind": issuer.token(TENANT, kind="root"),
        "another signer": jwt.encode(claims, Issuer().key, algorithm="EdDSA", headers={"kid": KID}),
        "no signature": jwt.encode(claims, None, algorithm="none", headers={"kid": KID}),
        "the public key as a secret": jwt.encode(claims, public, algorithm="HS256", headers={"kid": KID}),
        "other claims": changed(good, 1, b'{"sub": "x"}'),
        "no key id": jwt.encode(claims, issuer.key, algorithm="EdDSA"),
        "a header that is none": changed(good, 0, b"[]"),
        "a key id that is none": changed(good, 0, b'{"alg": "EdDSA", "kid": {"a": 1}}'),
        "too long": good + "A" * 9000,
        "two parts": good.rpartition(".")[0],
        "nothing": "",
        "no text": "\x00.é.ü",
    }


@pytest.mark.parametrize("wrong", forged(Issuer()))
async def test_a_wrong_token_is_refused(wrong: str, issuer: Issuer, verifier: TokenVerifier) -> None:
    """Whatever is wrong with a token, it is 401 and not remembered."""
    token = forged(issuer)[wrong]
    with pytest.raises(Unauthenticated):
        await verifier.verify(token)
    assert verifier.cached(token) is None


async def test_a_withdrawn_key_verifies_no_more(issuer: Issuer, keys: Keys, verifier: TokenVerifier) -> None:
    """After the keys changed, old tokens are refused and new ones taken."""
    old = issuer.token(TENANT)
    await verifier.verify(old)
    keys.issuer = Issuer()
    await verifier.keys.refresh()
    verifier.forget()
    with pytest.raises(Unauthenticated):
        await verifier.verify(old)
    assert (await verifier.verify(keys.issuer.token(TENANT))).tenant_id == TENANT


def test_the_header_carries_the_token() -> None:
    """The scheme is matched in any case; another scheme, or nothing, is 401."""
    assert bearer("bEaReR abc") == "abc"
    for header in (None, "", "Bearer", "Basic abc", "abc"):
        with pytest.raises(Unauthenticated):
            bearer(header)
