"""Redis: a client whose every new connection takes the login from the address as it stands then."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, ClusterPipeline, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import ConnectionError as CacheAway
from redis.exceptions import RedisClusterException

from libs.common.settings import Latest, ServiceSettings, latest

PORT = 6379
# A node that fell out is found out, and the slots are asked for anew, within these attempts; more would be a wait.
ATTEMPTS = 3


class _Login(CredentialProvider):
    def __init__(self, url: Latest) -> None:
        self._url = url

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        parts = urlsplit(self._url().partition(",")[0])
        password = unquote(parts.password or "")
        return (unquote(parts.username), password) if parts.username else (password,)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        return self.get_credentials()


class _Cluster(RedisCluster):
    """A client of a cluster, whose errors are Redis errors: the driver's own for a lost cluster are not."""

    async def initialize(self, *args: Any, **kwargs: Any) -> RedisCluster:
        with _known():
            return await super().initialize(*args, **kwargs)

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        with _known():
            return await super().execute_command(*args, **kwargs)

    def pipeline(self, transaction: Any | None = None, shard_hint: Any | None = None) -> "_Pipeline":
        return _Pipeline(self, transaction)  # type: ignore[abstract]  # of a protocol that it satisfies at run time


class _Pipeline(ClusterPipeline):
    async def execute(self, raise_on_error: bool = True, allow_redirections: bool = True) -> list[Any]:
        with _known():
            return await super().execute(raise_on_error, allow_redirections)


@contextmanager
def _known() -> Iterator[None]:
    try:
        yield
    except RedisClusterException as error:
        raise CacheAway(str(error)) from error


def connect(settings: ServiceSettings, seconds: float) -> Redis:
    """A client that connects when it is asked for something, and waits so many seconds for it.

    Below `rediss://` the authority and the certificate of the process hold, unless the address names others.
    A client of a cluster takes the same commands: scripts have one key, and pipelines no transaction.
    """
    first, *others = settings.redis_url.split(",")
    parts = urlsplit(first)
    login = _Login(latest("REDIS_URL", settings.redis_url)) if parts.password else None
    files = {"ssl_ca_certs": settings.tls_ca_file, "ssl_certfile": settings.tls_cert_file}
    files["ssl_keyfile"] = settings.tls_key_file
    options: dict[str, Any] = {name: path for name, path in files.items() if path} if parts.scheme == "rediss" else {}
    options |= {"socket_timeout": seconds, "socket_connect_timeout": seconds, "credential_provider": login}
    if settings.redis_cluster == "on":
        return _cluster([first, *others], options | {"ssl": parts.scheme == "rediss"})
    return Redis.from_url(parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(), **options)


def _cluster(urls: list[str], options: dict[str, Any]) -> Redis:
    addresses = [urlsplit(url) for url in urls]
    nodes = [ClusterNode(one.hostname or "127.0.0.1", one.port or PORT) for one in addresses]
    made = _Cluster(startup_nodes=nodes, retry=Retry(NoBackoff(), ATTEMPTS), **options)
    # It is no subclass, but what is called here it has alike.
    return cast(Redis, made)
