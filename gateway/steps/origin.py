"""Step 3: where a request comes from: address, scheme and host, told by the socket or by a trusted proxy."""

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address, ip_network

from gateway.exchange import Exchange
from libs.common.errors import Malformed

_HOST = re.compile(rb"[A-Za-z0-9._-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")


class Origin:
    """Finds the origin; `X-Forwarded-*` is believed of the named networks only, its last untrusted address counts."""

    def __init__(self, trusted: Iterable[str]) -> None:
        self._networks = [ip_network(network) for network in trusted]

    def __call__(self, exchange: Exchange) -> None:
        """Notes the host, and what a trusted proxy tells of address and scheme."""
        host = exchange.known.get(b"host", b"")
        if self._networks and self._trusts(exchange.address):
            host = self._from_proxy(exchange, host)
        exchange.host = _host(host)

    def _from_proxy(self, exchange: Exchange, host: bytes) -> bytes:
        chain = exchange.known.get(b"x-forwarded-for", b"").decode("latin-1").split(",")
        for hop in reversed([part.strip() for part in chain if part.strip()]):
            exchange.address = hop if _is_address(hop) else exchange.address
            if not self._trusts(hop):
                break
        if exchange.known.get(b"x-forwarded-proto", b"").lower() == b"https":
            exchange.scheme = "https"
        return exchange.known.get(b"x-forwarded-host", host)

    def _trusts(self, address: str) -> bool:
        return _is_address(address) and any(ip_address(address) in network for network in self._networks)


@lru_cache(4096)
def _host(host: bytes) -> str:
    if _HOST.fullmatch(host) is None:
        raise Malformed("The Host header is absent or not a host name.", code="bad-host")
    return host.decode().lower()


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
