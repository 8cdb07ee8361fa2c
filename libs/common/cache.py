"""Redis: a client whose every new connection takes the login from the address as it stands then."""

from typing import Any
from urllib.parse import unquote, urlsplit

from redis.asyncio import Redis
from redis.credentials import CredentialProvider

from libs.common.settings import Latest, ServiceSettings, latest


class _Login(CredentialProvider):
    def __init__(self, url: Latest) -> None:
        self._url = url

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        parts = urlsplit(self._url())
        password = unquote(parts.password or "")
        return (unquote(parts.username), password) if parts.username else (password,)


def connect(settings: ServiceSettings, seconds: float) -> Redis:
    """A client that connects when it is asked for something, and waits so many seconds for it.

    Below `rediss://` the authority and the certificate of the process hold, unless the address names others.
    """
    parts = urlsplit(settings.redis_url)
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    login = _Login(latest("REDIS_URL", settings.redis_url)) if parts.password else None
    files = {"ssl_ca_certs": settings.tls_ca_file, "ssl_certfile": settings.tls_cert_file}
    files["ssl_keyfile"] = settings.tls_key_file
    tls: dict[str, Any] = {name: path for name, path in files.items() if path} if parts.scheme == "rediss" else {}
    return Redis.from_url(
        address, socket_timeout=seconds, socket_connect_timeout=seconds, credential_provider=login, **tls
    )
