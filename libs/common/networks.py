"""Where requests come from, and networks (CIDR, RFC 4632) that addresses are of."""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final

_TRANSLATED: Final = ip_network("64:ff9b::/96")
# What `is_global` takes for public: for protocols, for translation within a site, for relays, and what serves machines
# in clouds under an address that looks public.
_CLOSED: Final = tuple(
    ip_network(it) for it in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "64:ff9b:1::/48", "::/96")
)


def is_within(address: str | None, networks: Iterable[str]) -> bool:
    """Whether an address is of one of the networks; an IPv4 address in IPv6 form is what it stands for."""
    try:
        found = ip_address(address or "")
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return any((mapped or found) in ip_network(network) for network in networks)


def is_public(text: str) -> bool:
    """Whether a literal address is one of the public Internet, also of an IPv4 address inside of an IPv6 address
    (RFC 4291, 6052, 3056, 4380).
    """
    try:
        address: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        address = _inside(address) or address
    local = isinstance(address, IPv6Address) and address.is_site_local
    closed = any(address in network for network in _CLOSED)
    return address.is_global and not (address.is_multicast or address.is_reserved or local or closed)


def _inside(address: IPv6Address) -> IPv4Address | None:
    if address in _TRANSLATED:
        return IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def address_of(scope: Mapping[str, Any]) -> str:
    """Where the request or socket of an ASGI scope comes from, as the gateway tells; empty where nobody does."""
    told = dict(scope["headers"]).get(b"x-forwarded-for", b"").decode("latin-1").partition(",")[0].strip()
    client = scope.get("client")
    return told or (str(client[0]) if client else "")
