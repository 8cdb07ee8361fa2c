"""Two versions side by side: a second release gets its part of the requests and nothing of what there is one of."""

from functools import cache
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml
from helm_python import HelmError

from tests.deploy.charts import HELM, Manifest, render, values

HOSTS = {"crm.example.com", "*.crm.example.com"}


def over(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Values laid over values, as Helm does it."""
    merged = dict(base)
    for key, value in more.items():
        merged[key] = over(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
    return merged


@cache
def canary() -> tuple[Manifest, ...]:
    """The objects of the second release."""
    overlay = yaml.safe_load((HELM / "overlays" / "canary.yaml").read_text())
    given = over(values("production"), overlay) | {
        "global": values("production")["global"] | {"image": {"tag": "0.2.0"}}
    }
    return tuple(render("millrace", given, "crm-canary"))


@cache
def first() -> tuple[Manifest, ...]:
    """Those of the release beside it."""
    return tuple(render("millrace", values("production")))


def of_kind(manifests: tuple[Manifest, ...], kind: str) -> dict[str, Manifest]:
    """The objects of a kind, by name."""
    return {found["metadata"]["name"]: found for found in manifests if found["kind"] == kind}


def test_both_releases_live_in_one_namespace() -> None:
    """No object of one is an object of the other, and each is what Kubernetes takes."""
    names = [{(found["kind"], found["metadata"]["name"]) for found in manifests} for manifests in (canary(), first())]
    assert names[0] & names[1] == set()
    for manifest in canary():
        if manifest["apiVersion"].split("/")[0] in (
            "v1",
            "apps",
            "batch",
            "networking.k8s.io",
            "autoscaling",
            "policy",
        ):
            kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def test_the_canary_gets_its_part_of_the_same_hosts() -> None:
    """By weight, and whole by a header; with the certificate of the first, which it does not ask for again."""
    (ingress,) = of_kind(canary(), "Ingress").values()
    annotations = ingress["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/canary"] == "true"
    assert annotations["nginx.ingress.kubernetes.io/canary-weight"] == "5"
    assert annotations["nginx.ingress.kubernetes.io/canary-by-header"] == "x-canary"
    assert not [name for name in annotations if name.startswith("cert-manager.io")]
    (main,) = of_kind(first(), "Ingress").values()
    assert {entry["secretName"] for entry in ingress["spec"]["tls"]} == {
        entry["secretName"] for entry in main["spec"]["tls"]
    }
    assert (
        {rule["host"] for rule in ingress["spec"]["rules"]} == {rule["host"] for rule in main["spec"]["rules"]} == HOSTS
    )
    backends = {
        path["backend"]["service"]["name"] for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]
    }
    assert backends == {"crm-canary-gateway"}


def test_the_canary_speaks_to_its_own_services_with_the_new_images() -> None:
    """Its gateway calls the services of its release, and all run the new version."""
    config = of_kind(canary(), "ConfigMap")["crm-canary-gateway"]["data"]
    assert {url for key, url in config.items() if key.endswith("_URL") and "collector" not in url} == {
        f"https://crm-canary-{service}:8000" for service in ("auth", "pipelines", "records", "realtime")
    }
    for deployment in of_kind(canary(), "Deployment").values():
        assert deployment["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":0.2.0")


def test_what_there_is_one_of_stays_with_the_first() -> None:
    """Migrations run before either; backups, the archive, alerts and dashboards are not doubled."""
    assert not {"CronJob", "StatefulSet", "PrometheusRule", "PersistentVolumeClaim"} & {f["kind"] for f in canary()}
    assert "crm-canary-migrate" in of_kind(canary(), "Job")


@pytest.mark.parametrize(
    ("weight", "backends"), [(0, {"crm-gateway": 100}), (10, {"crm-gateway": 90, "next-gateway": 10})]
)
def test_a_route_divides_requests_by_weight(weight: int, backends: dict[str, int]) -> None:
    """By the Gateway API the first release's route says how much the second one gets."""
    given = {
        "secret": {"existing": "settings"},
        "route": {
            "enabled": True,
            "parents": [{"name": "public", "namespace": "gateways"}],
            "hosts": ["*.crm.example.com"],
            "canary": {"release": "next" if weight else "", "weight": weight},
        },
    }
    (route,) = [found for found in render("gateway", given) if found["kind"] == "HTTPRoute"]
    assert route["spec"]["hostnames"] == ["*.crm.example.com"]
    assert {ref["name"]: ref["weight"] for ref in route["spec"]["rules"][0]["backendRefs"]} == backends


def test_a_route_without_a_gateway_is_refused() -> None:
    """It would lead nowhere."""
    with pytest.raises(HelmError, match="name the hosts"):
        list(render("gateway", {"secret": {"existing": "settings"}, "route": {"enabled": True}}))
    with helm_python.Chart.load(HELM / "gateway") as chart, pytest.raises(HelmError):
        chart.validate_schema({"ingress": {"canary": {"weight": 101}}})
