"""A control plane for all tests of this folder, and a namespace for each."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.cluster import charts, control_plane
from tests.cluster.charts import Helm
from tests.cluster.control_plane import ControlPlane
from tests.cluster.kubernetes import Kubernetes
from tests.cluster.nodes import Nodes, nodes
from tests.support.waiting import until

RESTRICTED = {
    "pod-security.kubernetes.io/enforce": "restricted",
    "pod-security.kubernetes.io/enforce-version": "latest",
}
CRDS: list[dict[str, str]] = yaml.safe_load((Path(__file__).parent / "crds.yaml").read_text())
NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """The control plane, with the kinds of the operators that the charts may use."""
    programs = control_plane.assets()
    if programs is None:
        pytest.skip("no etcd, kube-apiserver and kube-controller-manager in KUBEBUILDER_ASSETS: see docs/release.md")
    with control_plane.running(programs, tmp_path_factory.mktemp("plane")) as started:
        with started.client() as client:
            for crd in CRDS:
                _define(client, **crd)
        yield started


@pytest.fixture(scope="session")
def api(plane: ControlPlane) -> Iterator[httpx.Client]:
    """Asks the API server."""
    with plane.client() as client:
        yield client


@pytest.fixture(scope="session")
def pods(api: httpx.Client, plane: ControlPlane) -> Iterator[Nodes]:
    """What nodes would tell of the pods."""
    with plane.client() as client, nodes(client) as told:
        yield told


@pytest.fixture
def kubernetes(api: httpx.Client) -> Iterator[Kubernetes]:
    """A namespace that admits restricted pods only."""
    name = f"crm-{next(NUMBERS)}"
    made = {"metadata": {"name": name, "labels": RESTRICTED}}
    api.post("/api/v1/namespaces", json=made).raise_for_status()
    space = Kubernetes(api, name)
    space.until(lambda: space.get("v1", "ServiceAccount", "default"))
    yield space
    api.delete(f"/api/v1/namespaces/{name}").raise_for_status()


@pytest.fixture
def helm(plane: ControlPlane, kubernetes: Kubernetes, pods: Nodes, tmp_path: Path) -> Iterator[Helm]:
    """Helm in that namespace, with charts that may be changed; pods get ready as on a cluster with nodes."""
    made = Helm(charts.copied(tmp_path), plane.kubeconfig, kubernetes)
    yield made
    made.close()


def _define(client: httpx.Client, group: str, version: str, kind: str, plural: str) -> None:
    names = {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    spec = {"group": group, "scope": "Namespaced", "names": names} | {
        "versions": [{"name": version, "served": True, "storage": True, "schema": schema}]
    }
    # Groups of Kubernetes itself ask who has approved of them.
    approved = {"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/891"}
    meta = {"name": f"{plural}.{group}", "annotations": approved if group.endswith(".k8s.io") else {}}
    body = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": meta, "spec": spec}
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    client.post(path, json=body).raise_for_status()

    def established() -> bool:
        status = client.get(f"{path}/{meta['name']}").raise_for_status().json().get("status", {})
        return ("Established", "True") in [(c["type"], c["status"]) for c in status.get("conditions") or []]

    until(established)
