"""Mutual TLS within the cluster: who is given which certificate, and what asks by it."""

from typing import Any

import pytest

from deploy.settings import SERVICES, settings, struct
from tests.deploy.charts import containers, of_kind, pods, render, values

MUTUAL, PLAIN = "production", "trial"


@pytest.mark.parametrize("service", SERVICES)
def test_each_process_has_a_certificate_of_its_own(service: str) -> None:
    """It names the host that others connect to, serves both sides, and is mounted where the settings say."""
    certificate = of_kind(MUTUAL, "Certificate")[f"crm-{service}-inner"]["spec"]
    assert f"crm-{service}" in certificate["dnsNames"]
    assert certificate["usages"] == ["server auth", "client auth"]
    pod = pods(MUTUAL)[f"Deployment/crm-{service}"]["spec"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["tls"]["secret"]["secretName"] == certificate["secretName"]
    mounts = {mount["name"]: mount for mount in pod["containers"][0]["volumeMounts"]}
    given = {entry["name"]: entry["value"] for entry in pod["containers"][0]["env"] if entry["name"].startswith("TLS_")}
    assert given.keys() <= settings(struct(service)).keys()
    assert {path.rpartition("/")[0] for path in given.values()} == {mounts["tls"]["mountPath"]}
    assert {path.rpartition("/")[2] for path in given.values()} == {"tls.crt", "tls.key", "ca.crt"}


def upstreams(example: str) -> set[str]:
    """The schemes of the addresses that the gateway has of the services."""
    config = of_kind(example, "ConfigMap")["crm-gateway"]["data"]
    return {value.partition(":")[0] for name, value in config.items() if name.endswith("_URL")}


def test_the_gateway_asks_by_https_where_services_serve_it() -> None:
    """And by http where they do not."""
    assert upstreams(MUTUAL) == {"https"}
    assert upstreams(PLAIN) == {"http"}
    assert of_kind(PLAIN, "Certificate") == {}


@pytest.mark.parametrize("service", SERVICES)
def test_probes_and_prometheus_have_a_certificate_to_show(service: str) -> None:
    """The kubelet has none, so a container asks itself; Prometheus is given the service's; the gateway needs none."""
    container = containers(MUTUAL)[f"Deployment/crm-{service}/{service}"]
    serves = service != "gateway"
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert ("exec" in container[probe]) == serves
    (endpoint,) = of_kind(MUTUAL, "ServiceMonitor")[f"crm-{service}"]["spec"]["endpoints"]
    assert endpoint.get("scheme") == ("https" if serves else None)
    if serves:
        assert endpoint["tlsConfig"]["serverName"] == f"crm-{service}"
        assert endpoint["tlsConfig"]["cert"]["secret"]["name"] == f"crm-{service}-inner-tls"


def test_an_issuer_has_to_be_named() -> None:
    """Otherwise Helm says what is missing."""
    given: dict[str, Any] = values(MUTUAL)
    given["global"] = {**given["global"], "tls": {"enabled": True}}
    with pytest.raises(Exception, match="name an issuer"):
        list(render("millrace", given))
