"""Where requests come from, and networks (CIDR, RFC 4632) that addresses are of."""

from collections.abc import Iterable, Mapping
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any


def is_within(address: str | None, networks: Iterable[str]) -> bool:
    """Whether an address is of one of the networks; an IPv4 address in IPv6 form is what it stands for."""
    try:
        found = ip_address(address or "")
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return any((mapped or found) in ip_network(network) for network in networks)


def address_of(scope: Mapping[str, Any]) -> str:
    """Where the request or socket of an ASGI scope comes from, as the gateway tells; empty where nobody does."""
    told = dict(scope["headers"]).get(b"x-forwarded-for", b"").decode("latin-1").partition(",")[0].strip()
    client = scope.get("client")
    return told or (str(client[0]) if client else "")
