"""Every environment variable of the gateway."""

from typing import Literal

from libs.common.settings import ServiceSettings


class Settings(ServiceSettings, frozen=True, kw_only=True):
    """What the gateway is told. Lists are separated by commas; rates are requests a second, bursts requests at once.

    A service's URL may list several instances, among which requests and sockets are spread. The gateway's certificate
    is only shown to the services, unless `serve_tls` is on.
    """

    port: int = 8000
    serve_tls: Literal["on", "off"] = "off"
    auth_url: str
    pipelines_url: str
    records_url: str
    realtime_url: str
    base_domains: str = "localhost"
    trusted_proxies: str = ""
    cors_origins: str = ""
    rate_limits: Literal["on", "off"] = "on"
    limit_principal_rate: float = 100.0
    limit_principal_burst: int = 2000
    limit_tenant_rate: float = 500.0
    limit_tenant_burst: int = 10_000
    limit_address_rate: float = 50.0
    limit_address_burst: int = 1000
    limit_socket_rate: float = 50.0
    limit_socket_burst: int = 2000
    limit_sign_in_per_minute: int = 10
    limit_sign_in_address_per_minute: int = 300
    max_in_flight: int = 512
    max_waiting: int = 5_000
    max_sockets: int = 20_000
    max_connections: int = 30_000

    def upstream_urls(self) -> dict[str, list[str]]:
        """The base URLs of the instances of each service by its name."""
        return {
            "auth": items(self.auth_url),
            "pipelines": items(self.pipelines_url),
            "records": items(self.records_url),
            "realtime": items(self.realtime_url),
        }


def items(text: str) -> list[str]:
    """The items of a list setting."""
    return [item.strip() for item in text.split(",") if item.strip()]
