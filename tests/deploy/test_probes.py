"""What Kubernetes, Compose and Prometheus ask of a process is a route that it has."""

from typing import Any

import httpx
import pytest

from deploy.settings import SERVICES
from gateway.main import Gateway
from gateway.settings import Settings as GatewaySettings
from libs.common.app import Platform, create_app
from libs.common.settings import DatabaseSettings
from tests.deploy.charts import EXAMPLES, containers, of_kind

AWAY = {"redis_url": "redis://127.0.0.1:9/0", "nats_url": "nats://127.0.0.1:9"}
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


def path_of(probe: dict[str, Any]) -> str:
    """The path that a probe asks for, by itself or by the image's program `healthy`."""
    if "httpGet" in probe:
        return str(probe["httpGet"]["path"])
    program, question = probe["exec"]["command"]
    assert program == "healthy"
    return f"/health/{question}"


def asked() -> set[str]:
    """Every path that the charts ask for."""
    served = [found for example in EXAMPLES for name, found in containers(example).items() if "Deployment/" in name]
    paths = {path_of(container[probe]) for container in served for probe in PROBES}
    monitors = [monitor for example in EXAMPLES for monitor in of_kind(example, "ServiceMonitor").values()]
    return paths | {endpoint["path"] for monitor in monitors for endpoint in monitor["spec"]["endpoints"]}


def test_the_paths_asked_for() -> None:
    """Liveness and readiness are two questions, and metrics are read where they are kept."""
    assert asked() == {"/health/live", "/health/ready", "/metrics"}


@pytest.mark.parametrize("path", sorted(asked()))
async def test_services_have_the_routes(path: str) -> None:
    """The application that all services are made by answers them, readiness with 503 while the database is away."""
    settings = DatabaseSettings(port=1, database_url="postgresql://127.0.0.1:9/none", **AWAY)
    app = create_app(Platform("records", settings), [])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        assert (await client.get(path)).status_code == (503 if path == "/health/ready" else 200)


@pytest.mark.parametrize("path", sorted(asked()))
def test_the_gateway_has_the_routes(path: str) -> None:
    """The gateway answers them itself."""
    urls = {f"{service}_url": "http://127.0.0.1:9" for service in SERVICES if service != "gateway"}
    assert path.encode() in Gateway(GatewaySettings(**urls, **AWAY))._own_answers(None)
