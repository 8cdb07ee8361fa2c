"""The rules that every pod of the charts obeys."""

import re

import pytest

from deploy.settings import SERVICES
from tests.deploy.charts import EXAMPLES, Container, containers, of_kind, pods, rendered, values
from tests.deploy.quantities import cpu, memory

pytestmark = pytest.mark.parametrize("example", EXAMPLES)


def test_pods_fit_the_restricted_security_standard(example: str) -> None:
    """No root, no escalation, no capability, the default seccomp profile, a read-only root file system."""
    for pod in pods(example).values():
        security = pod["spec"]["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] >= 10000
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod["spec"].keys()
    for container in containers(example).values():
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["readOnlyRootFilesystem"] is True
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert "privileged" not in security


def test_volumes_are_of_the_kinds_that_the_standard_allows(example: str) -> None:
    """Secrets, bounded scratch space and claims; nothing of the node."""
    allowed = {"name", "secret", "emptyDir", "persistentVolumeClaim", "configMap"}
    for pod in pods(example).values():
        for volume in pod["spec"]["volumes"]:
            assert volume.keys() <= allowed
            assert "emptyDir" not in volume or volume["emptyDir"]["sizeLimit"]


def test_every_container_has_requests_and_limits(example: str) -> None:
    """CPU, memory and scratch space are requested and bounded, and no request is above its limit."""
    for name, container in containers(example).items():
        requests, limits = container["resources"]["requests"], container["resources"]["limits"]
        for bounds in (requests, limits):
            assert {"cpu", "memory", "ephemeral-storage"} <= bounds.keys(), name
        assert cpu(requests["cpu"]) <= cpu(limits["cpu"])
        assert memory(requests["memory"]) <= memory(limits["memory"])


def test_images_are_pinned(example: str) -> None:
    """An image has a version or a digest, never `latest` and never nothing."""
    for container in containers(example).values():
        assert re.search(r"(:\d+\.\d+\.\d+[\w.-]*|@sha256:[0-9a-f]{64})$", container["image"]), container["image"]


def test_pods_hold_no_token_of_the_cluster(example: str) -> None:
    """No pod speaks to the Kubernetes API, and each has a service account of its own."""
    accounts = of_kind(example, "ServiceAccount")
    for pod in pods(example).values():
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert accounts[pod["spec"]["serviceAccountName"]]["automountServiceAccountToken"] is False


def test_services_are_spread_and_end_gracefully(example: str) -> None:
    """Zones and nodes share a service's pods; a pod drains and shuts down before it would be killed."""
    configs = of_kind(example, "ConfigMap")
    for name, deployment in of_kind(example, "Deployment").items():
        spec = deployment["spec"]["template"]["spec"]
        keys = [constraint["topologyKey"] for constraint in spec["topologySpreadConstraints"]]
        assert keys == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
        drain = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        shutdown = float(configs[name]["data"]["SHUTDOWN_SECONDS"])
        assert spec["terminationGracePeriodSeconds"] > drain + shutdown
        assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_an_update_rolls_the_pods_when_the_settings_change(example: str) -> None:
    """The pod template names a checksum of its ConfigMap and of its secret."""
    for deployment in of_kind(example, "Deployment").values():
        annotations = deployment["spec"]["template"]["metadata"]["annotations"]
        assert {"checksum/config", "checksum/secret"} <= annotations.keys()


def test_a_service_scales_or_has_a_fixed_number(example: str) -> None:
    """With an autoscaler the Deployment says nothing of replicas; the autoscaler leads to a Deployment."""
    deployments = of_kind(example, "Deployment")
    scaled = {found["spec"]["scaleTargetRef"]["name"] for found in of_kind(example, "HorizontalPodAutoscaler").values()}
    assert scaled <= deployments.keys()
    assert {name for name, found in deployments.items() if "replicas" not in found["spec"]} == scaled
    wanted = {f"crm-{service}" for service in SERVICES if not _fixed(example, service)}
    assert scaled == wanted


def test_more_than_one_pod_is_protected_from_eviction_and_one_is_not(example: str) -> None:
    """A budget keeps all but one pod; with a single pod it would only block the draining of nodes."""
    scalers = of_kind(example, "HorizontalPodAutoscaler")
    for name, deployment in of_kind(example, "Deployment").items():
        least = scalers[name]["spec"]["minReplicas"] if name in scalers else deployment["spec"]["replicas"]
        assert (name in of_kind(example, "PodDisruptionBudget")) == (least > 1)


def test_labels_are_the_recommended_ones(example: str) -> None:
    """Every object says what it is, of which release, and of which platform."""
    for manifest in rendered(example):
        if not manifest["metadata"]["name"].endswith("default-deny"):
            assert manifest["metadata"]["labels"]["app.kubernetes.io/part-of"] == "millrace"
            assert manifest["metadata"]["labels"]["app.kubernetes.io/instance"] == "crm"


def test_ingress_has_tls_for_every_host(example: str) -> None:
    """Where there is an Ingress, no host is served in the clear, and cert-manager makes the certificate."""
    for ingress in of_kind(example, "Ingress").values():
        hosts = {rule["host"] for rule in ingress["spec"]["rules"]}
        assert {host for entry in ingress["spec"]["tls"] for host in entry["hosts"]} == hosts
        assert "cert-manager.io/cluster-issuer" in ingress["metadata"]["annotations"]
        backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
        assert backend["name"] in of_kind(example, "Service")


def test_only_ports_that_a_container_opens_are_named(example: str) -> None:
    """Services, probes and policies speak of the port `http`, which every service's container has."""
    for container in _serving(example):
        assert [port["name"] for port in container["ports"]] == ["http"]
        probes = [container[probe] for probe in ("startupProbe", "livenessProbe", "readinessProbe")]
        assert {probe["httpGet"]["port"] for probe in probes if "httpGet" in probe} <= {"http"}


def _serving(example: str) -> list[Container]:
    return [container for name, container in containers(example).items() if name.startswith("Deployment/")]


def _fixed(example: str, service: str) -> bool:
    return values(example)[service].get("autoscaling", {}).get("enabled") is False
