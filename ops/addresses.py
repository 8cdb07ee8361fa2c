"""Whether an address of a server can be one: a slip is told by the name of its variable, before it is used."""

from urllib.parse import urlsplit

_KINDS = {
    "DATABASE_URL": (("postgresql", "postgres"), "postgresql://user:password@host:5432/database"),
    "REDIS_URL": (("redis", "rediss"), "redis://:password@host:6379/0"),
    "NATS_URL": (("nats", "tls"), "nats://user:password@host:4222"),
}


def fault(variable: str, value: str) -> str | None:
    """What is wrong with the address in a variable, without telling the password in it; null where nothing is."""
    for ending, (schemes, example) in _KINDS.items():
        if value and variable.endswith(ending) and not _may_be(value, schemes):
            return f"{variable} is no address such as {example}"
    return None


def _may_be(value: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    # Several servers stand in one address, or are several addresses.
    hosts = parts.netloc.rpartition("@")[2].split(",")
    return parts.scheme in schemes and all(map(_has_port, hosts))


def _has_port(host: str) -> bool:
    _, _, port = host.rpartition("]")[2].partition(":")
    return port == "" or (port.isdecimal() and 0 < int(port) < 65536)
