"""Step 9: tokens that are good by their signature but were revoked."""

from gateway.exchange import Exchange
from libs.common.errors import Unauthenticated
from libs.common.revocations import Revocations


class NotRevoked:
    """Refuses revoked sessions and users."""

    def __init__(self, revocations: Revocations) -> None:
        self._revocations = revocations

    def __call__(self, exchange: Exchange) -> None:
        """Looks the principal up."""
        if exchange.principal is not None and self._revocations.covers(exchange.principal):
            raise Unauthenticated("The session was ended.", code="session-revoked")
