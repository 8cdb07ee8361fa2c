"""The public API: sign in, ask, wait when told to, renew a token that has expired."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec

_SECONDS = 150.0
_PATIENCE = 10
_PAGE = 200


class ApiError(Exception):
    """A refusal: its status and its problem document."""

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after: float) -> None:
        super().__init__(_sentence(status, problem))
        self.status = status
        self.problem = problem
        self.retry_after = retry_after


class Api:
    """One principal at one gateway; before it signs in, anyone at the host of a tenant.

    `position` is that of the last read of records (`Change-Seq`): following changes from there misses none.
    """

    def __init__(self, gateway: str, tenant: str | None = None) -> None:
        self.gateway = gateway.rstrip("/")
        headers = {"X-Tenant": tenant} if tenant else {}
        self.http = httpx.AsyncClient(base_url=f"{self.gateway}/api/v1", headers=headers, timeout=_SECONDS)
        self.token = ""
        self.user: dict[str, Any] = {}
        self.position = 0
        self._refresh_token = ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()

    async def sign_in(self, email: str, password: str) -> None:
        """Sign in with a password."""
        self._accept(await self.post("/auth/login", {"email": email, "password": password}))

    async def sign_up(self, organization: str, slug: str, email: str, password: str, name: str) -> None:
        """Make an organization, with its owner signed in; from now on the token alone names the tenant."""
        self.http.headers.pop("X-Tenant", None)
        body = {"organization": organization, "slug": slug, "email": email, "password": password, "name": name}
        self._accept(await self.post("/auth/signup", body))

    async def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """The body of a GET."""
        return await self.ask("GET", path, params=params)

    async def post(self, path: str, body: object = None) -> Any:
        """The body of a POST's answer."""
        return await self.ask("POST", path, body)

    async def patch(self, path: str, body: object) -> Any:
        """The body of a PATCH's answer."""
        return await self.ask("PATCH", path, body)

    async def delete(self, path: str) -> None:
        """A DELETE."""
        await self.ask("DELETE", path)

    async def pages(self, path: str, params: Mapping[str, Any] | None = None) -> AsyncIterator[dict[str, Any]]:
        """Every item of a list, page after page."""
        query = {"limit": _PAGE, **(params or {})}
        while True:
            page = await self.get(path, query)
            for item in page["items"]:
                yield item
            if not page["next_cursor"]:
                return
            query["cursor"] = page["next_cursor"]

    async def ask(self, method: str, path: str, body: object = None, params: Mapping[str, Any] | None = None) -> Any:
        """The decoded answer, or `ApiError`; waits where a rate limit says so, and renews an expired token once."""
        content = None if body is None else msgspec.json.encode(body)
        for _ in range(_PATIENCE):
            response = await self._send(method, path, content, params)
            if response.status_code == 401 and self._refresh_token and not path.startswith("/auth/"):
                await self.renew()
                response = await self._send(method, path, content, params)
            if response.status_code != 429:
                break
            await asyncio.sleep(_retry_after(response))
        if response.is_error:
            raise ApiError(response.status_code, _problem(response), _retry_after(response))
        return msgspec.json.decode(response.content) if response.content else None

    async def _send(
        self, method: str, path: str, content: bytes | None, params: Mapping[str, Any] | None
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if content is not None:
            headers["Content-Type"] = "application/json"
        response = await self.http.request(method, path, content=content, params=params, headers=headers)
        if (position := response.headers.get("Change-Seq", "")).isdecimal():
            self.position = int(position)
        return response

    async def renew(self) -> None:
        """Get another token in the place of one that has expired, or is about to."""
        token, self._refresh_token = self._refresh_token, ""
        self._accept(await self.post("/auth/refresh", {"refresh_token": token}))

    def _accept(self, answer: dict[str, Any]) -> None:
        self.token = answer["access_token"]
        self._refresh_token = answer["refresh_token"]
        self.user = answer.get("user") or self.user


def _retry_after(response: httpx.Response) -> float:
    return float(response.headers.get("Retry-After", 0))


def _problem(response: httpx.Response) -> dict[str, Any]:
    try:
        return msgspec.json.decode(response.content, type=dict[str, Any])
    except msgspec.DecodeError:
        return {"title": response.reason_phrase, "detail": response.text[:200]}


def _sentence(status: int, problem: Mapping[str, Any]) -> str:
    faults = "".join(f"; {fault['pointer']}: {fault['detail']}" for fault in problem.get("errors", ()))
    return f"{status} {problem.get('title')}: {problem.get('detail')}{faults}"
