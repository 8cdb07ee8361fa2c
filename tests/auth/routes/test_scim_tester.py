"""Provisioning as `scim2-tester` sees it, which checks servers against RFC 7643 and RFC 7644."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest
from scim2_client import BaseSyncSCIMClient
from scim2_tester import Status, check_server, filling

from tests.auth.support import Tenant

# It wants to read exactly what it wrote. Here a name is one text, that of a member is the user's, and what has a value
# always has it still after it was removed (RFC 7643 §2.2, RFC 7644 §3.5.2.2 leave it to the server).
KEPT_OTHERWISE = {
    *(("User", f"check_{verb}_attribute", "name") for verb in ("add", "remove", "replace")),
    *(("User", "check_remove_attribute", name) for name in ("displayName", "active", "locale")),
    *(("Group", f"check_{verb}_attribute", "members") for verb in ("add", "replace")),
}


class Client(BaseSyncSCIMClient):
    """Asks the service that runs in a loop, from a thread beside it."""

    def __init__(self, tenant: Tenant, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._tenant = tenant
        self._loop = loop

    def request(self, method: str, url: str, **rest: Any) -> httpx.Response:
        """A request with the owner's token."""
        headers = {"authorization": f"Bearer {self._tenant.told['access_token']}", **(rest.pop("headers", None) or {})}
        asking = self._tenant.http.request(method, f"/api/v1/scim/v2{url}", headers=headers, **rest)
        return asyncio.run_coroutine_threadsafe(asking, self._loop).result()


def example(path: object) -> str | None:
    """What it could not guess: a user's name is an e-mail address, and a locale one of BCP 47."""
    name = str(path).rpartition(":")[2]
    return f"{uuid4()}@example.com" if name == "userName" else "de-AT" if name == "locale" else None


async def test_it_is_as_the_rfcs_say(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Discovery, errors, and users and groups made, read, searched, replaced, patched and deleted."""
    monkeypatch.setattr(filling, "get_random_example_value", example)
    results = await asyncio.to_thread(check_server, Client(tenant, asyncio.get_running_loop()))
    good = [it for it in results if it.status in (Status.SUCCESS, Status.COMPLIANT, Status.ACCEPTABLE)]
    failed = {
        (it.resource_type, it.title, it.data.get("urn") if isinstance(it.data, dict) else None): it.reason
        for it in results
        if it not in good and it.status is not Status.SKIPPED
    }
    assert {name: reason for name, reason in failed.items() if name not in KEPT_OTHERWISE} == {}
    assert {(it.resource_type, it.title) for it in good} >= {
        (None, "random_url"), *((kind, f"object_{verb}") for kind in ("User", "Group")
                                for verb in ("creation", "query", "replacement", "deletion")),
    }  # fmt: skip
