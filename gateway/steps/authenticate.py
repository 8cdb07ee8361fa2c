"""Step 7: the principal of the bearer token, where the route asks for one."""

from collections.abc import Awaitable

from gateway.exchange import Exchange
from gateway.route_table import Access
from libs.common.errors import Unauthenticated
from libs.common.tokens import TokenVerifier, bearer


class Authenticate:
    """Verifies access tokens; a token verified before costs a look into a dictionary."""

    def __init__(self, verifier: TokenVerifier) -> None:
        self._verifier = verifier

    def __call__(self, exchange: Exchange) -> Awaitable[None] | None:
        """Notes the principal."""
        assert exchange.route is not None
        if exchange.route.access is Access.ANYONE:
            return None
        given = exchange.known.get(b"authorization")
        if given is None:
            raise Unauthenticated
        token = bearer(given.decode("latin-1"))
        exchange.principal = self._verifier.cached(token)
        return None if exchange.principal is not None else self._verify(exchange, token)

    async def _verify(self, exchange: Exchange, token: str) -> None:
        exchange.principal = await self._verifier.verify(token)
