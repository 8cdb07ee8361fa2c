"""The charts on an API server of Kubernetes with its controllers: taken, made into pods, and gone again."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from deploy.settings import SERVICES
from tests.cluster.charts import Helm
from tests.cluster.kubernetes import Kubernetes, Object
from tests.cluster.nodes import Nodes
from tests.deploy.charts import EXAMPLES, values
from tests.deploy.test_chart_canary import over

CLAIM = ("v1", "PersistentVolumeClaim", "crm-backups")
OURS = {"app.kubernetes.io/part-of": "millrace"}
# What every namespace has, and what Helm and the controllers write down for themselves.
BYSTANDERS = {("v1", "ConfigMap", "kube-root-ca.crt"), ("v1", "ServiceAccount", "default")}


def available(kubernetes: Kubernetes) -> bool:
    """Whether every workload has the pods that it and its autoscaler want, all of the newest kind."""
    deployments = kubernetes.list("apps/v1", "Deployment")
    least = {
        found["spec"]["scaleTargetRef"]["name"]: found["spec"]["minReplicas"]
        for found in kubernetes.list("autoscaling/v2", "HorizontalPodAutoscaler").values()
    }
    return all(
        found["status"].get("observedGeneration") == found["metadata"]["generation"]
        and found["status"].get("readyReplicas", 0) == found["spec"]["replicas"] >= least.get(name, 1)
        and {found["status"].get(which, 0) for which in ("replicas", "updatedReplicas")} == {found["spec"]["replicas"]}
        for name, found in (deployments | kubernetes.list("apps/v1", "StatefulSet")).items()
    )


def meant(kubernetes: Kubernetes) -> dict[tuple[str, str, str], Any]:
    """All that the chart says of its objects, as the API server keeps it: no status, no bookkeeping."""
    left_out = {"status", "metadata"}
    return {
        key: [
            found["metadata"]["uid"],
            found["metadata"].get("labels"),
            {k: v for k, v in found.items() if k not in left_out},
        ]
        for key, found in kubernetes.everything().items()
        if found["metadata"].get("labels", {}).items() >= OURS.items()
        and not found["metadata"].get("ownerReferences")
        and "helm.sh/hook" not in found["metadata"].get("annotations", {})
    }


def with_tag(given: dict[str, Any], tag: str) -> dict[str, Any]:
    """Values for another version of the images."""
    return over(given, {"global": {"image": {"tag": tag}}})


def of_job(pod: Object) -> bool:
    """Whether a pod is one of a job."""
    return bool(pod["spec"]["restartPolicy"] == "Never")


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_api_server_takes_every_object(example: str, helm: Helm, kubernetes: Kubernetes) -> None:
    """Each object passes validation and admission as `kubectl apply --dry-run=server --validate=strict` sends it."""
    found = list(helm.rendered("millrace", values(example)))
    for manifest in found:
        kubernetes.apply(manifest, dry=True)
    assert len(found) > 30


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_release_comes_stays_and_goes(example: str, helm: Helm, kubernetes: Kubernetes) -> None:
    """All pods are admitted and get ready; installed again nothing changes; uninstalled, only the backups stay."""
    helm.install(values(example))
    kubernetes.until(lambda: available(kubernetes))
    assert {f"crm-{service}" for service in SERVICES} <= kubernetes.list("apps/v1", "Deployment").keys()
    before = meant(kubernetes)
    helm.upgrade(values(example))
    assert meant(kubernetes) == before
    helm.uninstall()
    kept = {CLAIM} if values(example)["operations"].get("backup") else set()
    kubernetes.until(lambda: remains(kubernetes) == kept)


def remains(kubernetes: Kubernetes) -> set[tuple[str, str, str]]:
    """What is still there of a release."""
    found = kubernetes.everything().items()
    return {key for key, item in found if key not in BYSTANDERS and not token(item)}


def token(item: Object) -> bool:
    """Whether this is what older releases of Kubernetes give every service account."""
    return bool(item.get("type") == "kubernetes.io/service-account-token")


def test_the_schema_is_migrated_before_anything_else_is_there(helm: Helm, kubernetes: Kubernetes, pods: Nodes) -> None:
    """While the migration runs there is no Deployment yet, but what the job needs; afterwards there are all."""
    with ThreadPoolExecutor() as pool:
        with pods.holding(lambda pod: pod["metadata"]["labels"].get("job-name") == "crm-migrate"):
            installed = pool.submit(helm.install, values("trial"))
            kubernetes.until(lambda: installed.done() or kubernetes.list("v1", "Pod", **{"job-name": "crm-migrate"}))
            assert not installed.done()
            assert kubernetes.list("apps/v1", "Deployment") == {}
            account = next(iter(kubernetes.list("v1", "Pod", **{"job-name": "crm-migrate"}).values()))["spec"]
            assert kubernetes.get("v1", "ServiceAccount", account["serviceAccountName"])
            assert kubernetes.get("v1", "Secret", account["volumes"][0]["secret"]["secretName"])
            done = kubernetes.get("batch/v1", "Job", "crm-bootstrap")
            assert done is None or done["status"]["succeeded"] == 1
        installed.result()
    assert len(kubernetes.list("apps/v1", "Deployment")) == len(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_a_chart_goes_alone(service: str, helm: Helm, kubernetes: Kubernetes) -> None:
    """One service is installed without the umbrella, and its pods get ready."""
    given: dict[str, Any] = {"secret": {"existing": "settings"}}
    helm.install(given | ({"files": {"claim": "files"}} if service == "records" else {}), chart=service)
    kubernetes.until(lambda: available(kubernetes))
    assert kubernetes.list("apps/v1", "Deployment").keys() == {f"crm-{service}"}


def test_a_pod_with_too_many_rights_is_refused(helm: Helm, kubernetes: Kubernetes) -> None:
    """What the tests above rely on: a chart whose pods may run as root gets a Deployment and no pod."""
    path = helm.charts / "millrace-lib" / "templates" / "_pod.tpl"
    path.write_text(path.read_text().replace("runAsNonRoot: true", "runAsNonRoot: false").replace("10001", "0"))
    helm.install({"secret": {"existing": "settings"}}, chart="pipelines")

    def told() -> str:
        found = kubernetes.list("apps/v1", "ReplicaSet").values()
        return "".join(c["message"] for one in found for c in one["status"].get("conditions", []))

    kubernetes.until(lambda: "PodSecurity" in told())
    assert kubernetes.list("v1", "Pod") == {}


def test_a_namespace_with_quotas_takes_it(helm: Helm, kubernetes: Kubernetes) -> None:
    """Every pod says what it needs and what it may take, so that it is admitted where both are counted."""
    spec = {"hard": {f"{side}.{what}": amount for side in ("requests", "limits") for what, amount in QUOTA.items()}}
    kubernetes.apply(
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "all", "namespace": kubernetes.namespace},
            "spec": spec,
        }
    )
    kubernetes.until(lambda: (kubernetes.get("v1", "ResourceQuota", "all") or {}).get("status", {}).get("used"))
    helm.install(values("production"))
    kubernetes.until(lambda: available(kubernetes))


QUOTA = {"cpu": "64", "memory": "64Gi", "ephemeral-storage": "64Gi"}
