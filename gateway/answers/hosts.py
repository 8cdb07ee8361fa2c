"""`/internal/hosts?domain=`: whether a host is served here, which the edge asks before it gets a certificate for it."""

from urllib.parse import parse_qs

from gateway.answers.operating import only_get
from gateway.exchange import Exchange
from gateway.steps.tenant import TenantOfHost
from libs.common.errors import NotFound


class Hosts:
    """Answers 204 for the platform's own domains and for hosts of organizations, 404 for all others."""

    def __init__(self, hosts: TenantOfHost) -> None:
        self._hosts = hosts

    async def __call__(self, exchange: Exchange) -> None:
        """Answers."""
        only_get(exchange)
        asked = parse_qs(exchange.query.decode("latin-1")).get("domain", [""])[0].lower()
        if not await self._hosts.serves(asked):
            raise NotFound("No organization has this host.")
        await exchange.answer(204, [], b"")
