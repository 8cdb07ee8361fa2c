"""ID tokens that are not good, as a provider or somebody in between might make them."""

import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from libs.common.errors import Unauthenticated
from services.auth.domain.sso import Configuration, check_id_token, check_return, key_id

NONCE = "the nonce of this sign-in"
ACCESS = "an access token"
PRIVATE = rsa.generate_private_key(65537, 2048)
STRANGER = rsa.generate_private_key(65537, 2048)
PUBLIC = jwt.PyJWK(json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(PRIVATE.public_key())), "RS256")
AT_HASH = urlsafe_b64encode(hashlib.sha256(ACCESS.encode()).digest()[:16]).decode().rstrip("=")
IT = Configuration(
    "https://id.example.com", "millrace", ("openid",), "RS256", ("example.com",), True, (), None, {}, False, ()
)


def claims(**changes: Any) -> dict[str, Any]:
    """Good claims, changed; None takes one away."""
    now = int(time.time())
    good = {
        "iss": IT.issuer, "aud": IT.client_id, "sub": "ann", "iat": now, "exp": now + 300, "nonce": NONCE,
        "at_hash": AT_HASH,
    } | changes  # fmt: skip
    return {name: value for name, value in good.items() if value is not None}


def token(key: Any = PRIVATE, algorithm: str = "RS256", **changes: Any) -> str:
    """A signed token."""
    return jwt.encode(claims(**changes), key, algorithm, headers={"kid": "one"})


def judge(text: str) -> dict[str, Any]:
    """What the sign-in does with a token."""
    assert key_id(text, IT.algorithm) == "one"
    return check_id_token(text, PUBLIC, IT, NONCE, ACCESS)


def test_a_good_one_is_taken() -> None:
    """Also with a list of one audience, an authorized party that is ours, and without a hash of the access token."""
    assert judge(token())["sub"] == "ann"
    assert judge(token(aud=["millrace"], azp="millrace", at_hash=None))["sub"] == "ann"
    assert judge(token(aud=["millrace", "other"], azp="millrace"))["sub"] == "ann"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://id.example.com/"}, {"iss": None}, {"aud": "other"}, {"aud": None}, {"aud": []},
        {"aud": ["millrace", "other"]}, {"azp": "other"}, {"aud": ["millrace", "other"], "azp": "other"},
        {"nonce": "another"}, {"nonce": None}, {"nonce": 7}, {"exp": int(time.time()) - 120}, {"exp": None},
        {"iat": int(time.time()) + 600}, {"iat": int(time.time()) - 1200}, {"iat": None},
        {"nbf": int(time.time()) + 600},
        {"sub": None}, {"sub": ""}, {"sub": 7}, {"sub": "x" * 256}, {"at_hash": "another"}, {"at_hash": 7},
    ],
)  # fmt: skip
def test_a_wrong_claim_is_refused(changes: dict[str, Any]) -> None:
    """Each on its own, in a token that is signed as it should."""
    with pytest.raises(Unauthenticated):
        judge(token(**changes))


def unsigned() -> str:
    """A token without a signature."""
    return jwt.encode(claims(), None, "none", headers={"kid": "one"})


def by_public_key() -> str:
    """A token whose HMAC key is the public key, which everyone knows."""
    parts = [
        urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in ({"alg": "HS256", "typ": "JWT", "kid": "one"}, claims())
    ]
    secret = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    digest = hmac.digest(secret, b".".join(parts), "sha256")
    return b".".join([*parts, urlsafe_b64encode(digest).rstrip(b"=")]).decode()


def changed() -> str:
    """A token whose claims were replaced after it was signed."""
    head, _, signature = token().split(".")
    body = urlsafe_b64encode(json.dumps(claims(sub="owner")).encode()).decode().rstrip("=")
    return f"{head}.{body}.{signature}"


@pytest.mark.parametrize(
    "make",
    [
        unsigned, by_public_key, changed, lambda: token(STRANGER), lambda: token(algorithm="RS512"),
        lambda: token(algorithm="PS256"), lambda: "x.y.z", lambda: "", lambda: "a" * 100_000,
    ],
)  # fmt: skip
def test_a_wrong_signature_is_refused(make: Callable[[], str]) -> None:
    """By another key, another algorithm than the provider's, or none."""
    with pytest.raises(Unauthenticated):
        judge(make())


def test_a_path_may_be_returned_to() -> None:
    """With a query and a fragment."""
    assert check_return("/deals?view=won#first") == []
    assert check_return(None) == []
