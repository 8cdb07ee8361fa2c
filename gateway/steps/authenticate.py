"""Step 7: the principal of the bearer token, where the route asks for one; an API key is exchanged for a token."""

from collections.abc import Awaitable

from gateway.api_keys import PREFIX, ApiKeys
from gateway.exchange import Exchange
from gateway.route_table import Access
from libs.common.errors import Unauthenticated
from libs.common.identity import Principal
from libs.common.tokens import TokenVerifier, bearer


class Authenticate:
    """Verifies access tokens; a token verified before costs a look into a dictionary."""

    def __init__(self, verifier: TokenVerifier, keys: ApiKeys) -> None:
        self._verifier = verifier
        self._keys = keys

    def __call__(self, exchange: Exchange) -> Awaitable[None] | None:
        """Notes the principal."""
        assert exchange.route is not None
        if exchange.route.access is Access.ANYONE:
            return None
        given = exchange.known.get(b"authorization")
        if given is None:
            raise Unauthenticated
        token = bearer(given.decode("latin-1"))
        if token.startswith(PREFIX):
            return self._of_key(exchange, token)
        exchange.principal = self._verifier.cached(token)
        return None if exchange.principal is not None else self._verify(exchange, token)

    async def _verify(self, exchange: Exchange, token: str) -> None:
        exchange.principal = await self._verifier.verify(token)

    def _of_key(self, exchange: Exchange, key: str) -> Awaitable[None] | None:
        principal = self._keys.cached(key)
        if principal is None:
            return self._exchange(exchange, key)
        _enter(exchange, principal)
        return None

    async def _exchange(self, exchange: Exchange, key: str) -> None:
        _enter(exchange, await self._keys.exchange(key, exchange.address))


def _enter(exchange: Exchange, principal: Principal) -> None:
    """Goes on as the key's principal; the service gets the token in place of the key."""
    exchange.principal = principal
    lines = exchange.lines
    for place in range(0, len(lines), 4):
        if lines[place] == b"authorization":
            lines[place + 2] = b"Bearer " + principal.token.encode()
