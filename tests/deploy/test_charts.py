"""The charts are what Helm and Kubernetes take."""

import functools
from typing import Any

import helm_python
import jsonschema
import kubernetes_validate
import pytest
from helm_python import HelmError
from kubernetes_validate import utils

from deploy.settings import SERVICES
from tests.deploy.charts import CHARTS, EXAMPLES, HELM, of_kind, render, rendered, values

OLDEST, NEWEST = "1.30", kubernetes_validate.latest_version()
# Kinds that operators bring, with the schemas that Kubernetes itself does not have.
CUSTOM = {"ExternalSecret": "external-secrets.io/v1", "ServiceMonitor": "monitoring.coreos.com/v1"} | {
    "PrometheusRule": "monitoring.coreos.com/v1",
    "Certificate": "cert-manager.io/v1",
}
WARNING = 2


@pytest.fixture(scope="module", autouse=True)
def schemas_read_once() -> Any:
    """The validator reads megabytes of definitions for each object; they do not change."""
    read = utils.schema_contents
    utils.schema_contents = functools.cache(read)
    yield
    utils.schema_contents = read


@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_object_fits_the_schema_of_kubernetes(example: str, version: str) -> None:
    """The API server of the oldest and of the newest supported release takes each object, knowing every field."""
    for manifest in rendered(example):
        if manifest["kind"] in CUSTOM:
            assert manifest["apiVersion"] == CUSTOM[manifest["kind"]]
        else:
            kubernetes_validate.validate(manifest, version, strict=True)


def test_the_schemas_notice_a_wrong_field() -> None:
    """What the test above relies on: an unknown field is a fault."""
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "dat": {}}
    with pytest.raises(jsonschema.ValidationError):
        kubernetes_validate.validate(manifest, NEWEST, strict=True)


@pytest.mark.parametrize("example", EXAMPLES)
def test_objects_have_names_of_their_own(example: str) -> None:
    """No two objects of a release are one."""
    names = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in rendered(example)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_service_of_the_platform_is_in_it(example: str) -> None:
    """The umbrella chart brings five Deployments, each with its Service and NetworkPolicy."""
    expected = {f"crm-{service}" for service in SERVICES}
    assert set(of_kind(example, "Deployment")) == set(of_kind(example, "Service")) == expected
    assert set(of_kind(example, "NetworkPolicy")) >= expected


@pytest.mark.parametrize("example", EXAMPLES)
def test_helm_lint_finds_nothing(example: str) -> None:
    """`helm lint --strict` has no warning about the umbrella chart."""
    report = helm_python.lint(HELM / "millrace", values(example), strict=True)
    assert [message for message in report["messages"] if message["severity"] >= WARNING] == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_can_be_installed_alone(service: str) -> None:
    """The chart of one service lints and renders without the umbrella."""
    given: dict[str, Any] = {"secret": {"existing": "settings"}}
    if service == "records":
        given["files"] = {"claim": "files"}
    report = helm_python.lint(HELM / service, given, strict=True)
    assert [message for message in report["messages"] if message["severity"] >= WARNING] == []
    kinds = [manifest["kind"] for manifest in render(service, given)]
    assert {"Deployment", "Service", "NetworkPolicy"} <= set(kinds)


@pytest.mark.parametrize("chart", CHARTS)
def test_the_charts_that_a_chart_needs_are_there(chart: str) -> None:
    """Nothing has to be fetched or built before an install from a checkout."""
    assert {found["status"] for found in helm_python.dependency_list(HELM / chart)} == {"unpacked"}


@pytest.mark.parametrize(
    "fault",
    [
        {"config": {"LOG_LEVLE": "debug"}},
        {"config": {"ACCESS_TOKEN_SECONDS": 601}},
        {"config": {"SIGNING_KEY_SECRET": "not in a ConfigMap"}},
        {"secrets": ["DATABASE_URL", "PASSWORD"]},
        {"image": {"tag": "latest"}},
        {"replicas": 0},
        {"autoscalling": {"max": 3}},
    ],
)
def test_helm_refuses_values_that_cannot_be_meant(fault: dict[str, Any]) -> None:
    """A misspelt or impossible value stops the install, not the pods."""
    with helm_python.Chart.load(HELM / "auth") as chart, pytest.raises(HelmError):
        chart.validate_schema({"secret": {"existing": "settings"}, **fault})


@pytest.mark.parametrize(
    ("secret", "told"),
    [
        ({}, "exactly one of"),
        ({"existing": "a", "external": {"store": "vault", "path": "a"}}, "exactly one of"),
        ({"values": {"REDIS_URL": "r", "NATS_URL": "n"}}, "DATABASE_URL is missing"),
    ],
)
def test_a_secret_that_is_not_whole_is_told(secret: dict[str, Any], told: str) -> None:
    """Rendering fails with the name of what has to be given."""
    with pytest.raises(HelmError, match=told):
        list(render("pipelines", {"secret": secret}))


@pytest.mark.parametrize("files", [{}, {"url": "s3://bucket", "claim": "files"}])
def test_where_files_lie_has_to_be_told(files: dict[str, str]) -> None:
    """Nothing that a pod could take by itself is shared with the others, so there is no default."""
    with pytest.raises(HelmError, match=r"exactly one of files\.url .* and files\.claim"):
        list(render("records", {"secret": {"existing": "settings"}, "files": files}))
