"""What the gateway answers itself."""

import httpx

from gateway.answers.openapi import merge
from gateway.route_table import RouteTable
from ops.embedded import free_port
from tests.gateway.support import gateway_for


async def test_health_and_metrics_are_its_own(client: httpx.AsyncClient) -> None:
    """The gateway tells its own health, and counts requests by route, not by path."""
    health = await client.get("/health")
    live = await client.get("/health/live")
    await client.post("/api/v1/auth/refresh")
    metrics = await client.get("/metrics")

    assert (health.status_code, health.json()["service"], health.json()["status"]) == (200, "gateway", "ok")
    assert live.status_code == 200
    assert 'http_requests_total{method="POST",route="auth",status="200"} 1.0' in metrics.text
    assert (await client.get("/health/database")).status_code == 404
    assert (await client.post("/health")).status_code == 405


async def test_the_edge_learns_which_hosts_there_are(client: httpx.AsyncClient) -> None:
    """Only the platform's own domain and organizations' hosts may be given certificates."""
    hosts = ["localhost", "Demo.localhost", "closed.localhost", "crm.example.com"]
    strangers = ["nobody.localhost", "a.demo.localhost", "example.com", ""]
    asked = [await client.get("/internal/hosts", params={"domain": host}) for host in (*hosts, *strangers)]
    assert [answer.status_code for answer in asked] == [204] * len(hosts) + [404] * len(strangers)


async def test_status_of_all_services(client: httpx.AsyncClient) -> None:
    """Every form of the path tells of every service."""
    for path in ("/api/v1/status", "/api/status/", "/api/health/", "/api/v1/health"):
        status = (await client.get(path)).json()
        assert (status["status"], status["degradations"]) == ("ok", []), path
        assert {"gateway", "auth", "pipelines", "records", "realtime"} == status["services"].keys()


async def test_status_names_what_is_away(services_url: str, redis_url: str, nats_url: str) -> None:
    """A service that is away is named, and the answer does not wait for it."""
    urls = dict.fromkeys(("auth", "records", "pipelines"), services_url)
    urls["realtime"] = f"http://127.0.0.1:{free_port()}"
    with gateway_for(urls, redis_url, nats_url) as url:
        async with httpx.AsyncClient(base_url=url) as client:
            status = (await client.get("/api/v1/status")).json()

    assert (status["status"], status["degradations"]) == ("degraded", ["realtime"])


async def test_the_gateway_starts_before_everything_else() -> None:
    """Without services, Redis and NATS the gateway lives, is not ready, and refuses with 503."""
    nowhere = f"127.0.0.1:{free_port()}"
    with gateway_for(f"http://{nowhere}", f"redis://{nowhere}", f"nats://{nowhere}") as url:
        async with httpx.AsyncClient(base_url=url) as client:
            paths = (
                "/health/live",
                "/health/ready",
                "/api/v1/status",
                "/openapi.json",
                "/.well-known/jwks.json",
            )
            answers = [(await client.get(path)).status_code for path in paths]

    assert answers == [200, 503, 503, 200, 503]


async def test_docs_need_nothing_from_outside(client: httpx.AsyncClient) -> None:
    """The page, its script and its style come from the gateway, under a policy that allows nothing else."""
    page = await client.get("/docs/")

    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "//" not in page.text.replace("<!doctype", "")
    for name in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js", "favicon-32x32.png"):
        assert f"/docs/{name}" in page.text or name == "start.js"
        assert (await client.get(f"/docs/{name}")).status_code == 200


def _document(path: str, schema: object, operation: str = "list") -> dict[str, object]:
    reference = {"$ref": "#/components/schemas/Item"}
    return {
        "paths": {path: {"get": {"operationId": operation, "schema": reference}}, "/health": {"get": {}}},
        "components": {"schemas": {"Item": schema, "Same": {"type": "string"}}},
    }


def test_documents_are_merged() -> None:
    """Each service speaks of its own routes; components that differ are told apart, and their references follow."""
    merged = merge(
        {
            "pipelines": _document("/api/v1/pipelines", {"type": "object"}),
            "records": _document("/api/v1/pipelines/{id}/records", {"type": "array"}),
            "realtime": _document("/api/v1/users", {"type": "null"}),
        },
        RouteTable(),
        "1.0",
    )

    assert list(merged["paths"]) == ["/api/v1/pipelines", "/api/v1/pipelines/{id}/records"]
    assert {"Item", "RecordsItem", "RealtimeItem", "Same"} == merged["components"]["schemas"].keys()
    records = merged["paths"]["/api/v1/pipelines/{id}/records"]["get"]
    assert records["schema"] == {"$ref": "#/components/schemas/RecordsItem"}
    assert records["operationId"] == "records_list"
