"""A browser that signs in elsewhere, at a tenant's host behind the gateway."""

from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.auth.support import Tenant
from tests.support.openid import OpenIdProvider
from tests.support.saml import SamlProvider


@dataclass
class Browser:
    """A browser at the tenant's host, with its cookies."""

    tenant: Tenant
    provider_id: str
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """The tenant's host."""
        return f"{self.tenant.slug}.localhost"

    async def get(self, path: str, **rest: Any) -> httpx.Response:
        """A request as the gateway passes it on."""
        return await self._ask("GET", path, **rest)

    async def _ask(
        self, method: str, path: str, host: str | None = None, cookies: dict[str, str] | None = None, **rest: Any
    ) -> httpx.Response:
        sent = self.cookies if cookies is None else cookies
        headers = {
            "x-forwarded-host": host or self.host, "x-forwarded-proto": "https",
            "x-millrace-tenant": str(self.tenant.id),
            "cookie": "; ".join(f"{name}={value}" for name, value in sent.items()),
        }  # fmt: skip
        answer = await self.tenant.http.request(method, f"/api/v1{path}", headers=headers, **rest)
        self.cookies |= dict(answer.cookies)
        self.tenant.http.cookies.clear()
        return answer

    async def depart(self, return_to: str | None = None, host: str | None = None) -> httpx.Response:
        """Goes off."""
        params = {"return_to": return_to} if return_to is not None else {}
        return await self.get(f"/auth/sso/{self.provider_id}/authorize", params=params, host=host)

    async def arrive(self, told: httpx.QueryParams) -> httpx.Response:
        """Comes back."""
        return await self.get(f"/auth/sso/{self.provider_id}/callback", params=told)

    async def sign_in(self, openid: OpenIdProvider, return_to: str | None = None) -> httpx.Response:
        """There and back."""
        departed = await self.depart(return_to)
        assert departed.status_code == 302, departed.text
        return await self.arrive(await openid.answer(departed.headers["location"]))

    async def sign_in_by_saml(self, saml: SamlProvider, return_to: str | None = None) -> str:
        """There, and back by the provider's form, which brings no cookies: where the browser ends."""
        departed = await self.depart(return_to)
        assert departed.status_code == 302, departed.text
        return await self.bring(await saml.answer(departed.headers["location"]))

    async def bring(self, form: dict[str, str], **rest: Any) -> str:
        """Where the provider's form leads to."""
        answer = await self.post(form, **rest)
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    async def post(self, form: dict[str, str], **rest: Any) -> httpx.Response:
        """What the provider's form sends, without cookies as from another site."""
        return await self._ask("POST", f"/auth/sso/{self.provider_id}/acs", cookies={}, data=form, **rest)

    async def fetch(self, token: str) -> httpx.Response:
        """What the page does that was returned to."""
        return await self._ask("POST", "/auth/sso/token", json={"token": token})
