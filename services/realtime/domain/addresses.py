"""Which addresses of the network a webhook may be sent to: those of the public Internet."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_NAT64 = IPv6Network("64:ff9b::/96")


class AddressRefused(OSError):
    """A connection to an address that webhooks may not reach."""


def is_public(text: str) -> bool:
    """Whether an address is a public one, also of an IPv4 address inside of an IPv6 address (RFC 4291, 6052, 3056)."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    inner = _inside(address) if isinstance(address, IPv6Address) else None
    return _public(address) if inner is None else _public(inner)


def _inside(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour


def _public(address: IPv4Address | IPv6Address) -> bool:
    return address.is_global and not address.is_multicast and not address.is_reserved
