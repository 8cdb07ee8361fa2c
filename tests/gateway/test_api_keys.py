"""API keys at the gateway: exchanged once, remembered, and handed on as tokens."""

import json

import httpx

from libs.common.ids import new_id
from libs.common.revocations import Revoked
from tests.gateway.steps.test_authenticate import publish
from tests.gateway.support import DEMO, Services, bearer, raw, token, until_async

PATH = "/api/v1/users/me"
KEY = "mlr_a-good-key"


async def test_a_service_gets_a_token_and_never_the_key(client: httpx.AsyncClient, services: Services) -> None:
    """Many requests cost one exchange, also when they come at once; the key itself stays at the gateway."""
    services.keys[KEY] = token(kind="api_key")
    for _ in range(3):
        answer = await client.get(PATH, headers=bearer(KEY))
        assert f"Bearer {services.keys[KEY]}" in [value for _, value in answer.json()["headers"]]
        assert KEY not in answer.text
    assert services.exchanged == [KEY]


async def test_a_refused_key_is_not_asked_for_again_at_once(client: httpx.AsyncClient, services: Services) -> None:
    """Somebody who tries keeps the gateway busy, not auth."""
    for _ in range(5):
        assert (await client.get(PATH, headers=bearer("mlr_bad"))).status_code == 401
    assert services.exchanged == ["mlr_bad"]


async def test_after_a_revocation_the_key_is_exchanged_anew(
    client: httpx.AsyncClient, services: Services, nats_url: str
) -> None:
    """A token that was revoked is not served from memory; auth decides what the key is worth now."""
    key_id = new_id()
    services.keys[KEY] = token(kind="api_key", user=key_id, session=key_id)
    assert (await client.get(PATH, headers=bearer(KEY))).status_code == 200
    del services.keys[KEY]
    await publish(nats_url, DEMO, Revoked(key_id, key_id, 0))

    async def is_refused() -> bool:
        return (await client.get(PATH, headers=bearer(KEY))).status_code == 401

    assert await until_async(is_refused, 1.0)


async def test_a_header_that_looks_like_the_name_of_another_changes_nothing(
    gateway_url: str, services: Services
) -> None:
    """The token takes the place of the key, and of nothing else."""
    services.keys[KEY] = token(kind="api_key")
    port = httpx.URL(gateway_url).port
    answer = await raw(
        port,
        f"GET {PATH} HTTP/1.1\r\nhost: localhost\r\nx-decoy: authorization\r\nx-second: kept\r\n"
        f"authorization: Bearer {KEY}\r\nconnection: close\r\n\r\n",
    )
    headers = dict(json.loads(answer.partition(b"\r\n\r\n")[2])["headers"])
    assert headers["authorization"] == f"Bearer {services.keys[KEY]}"
    assert (headers["x-decoy"], headers["x-second"]) == ("authorization", "kept")
