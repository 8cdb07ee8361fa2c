"""From one release of the charts to the next, on an API server of Kubernetes with its controllers."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import yaml

from deploy.settings import SERVICES
from tests.cluster.charts import Helm, of_version
from tests.cluster.kubernetes import Kubernetes, Object
from tests.cluster.nodes import Nodes
from tests.cluster.test_releases import available, with_tag
from tests.deploy.charts import EXAMPLES, HELM, values
from tests.deploy.test_chart_canary import over

GATEWAY = {"app.kubernetes.io/name": "gateway"}
OLDER = "0.0.9"


def image(pod: Object) -> str:
    """The tag of a pod's image."""
    return str(pod["spec"]["containers"][0]["image"]).rpartition(":")[2]


def ready(pod: Object) -> bool:
    """Whether a pod is sent requests."""
    return ("Ready", "True") in [(c["type"], c["status"]) for c in pod["status"].get("conditions", [])]


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_release_is_upgraded_in_place(example: str, helm: Helm, kubernetes: Kubernetes) -> None:
    """From charts of another version: nothing that cannot be changed is, no object is made anew, pods are replaced."""
    current = {path: path.read_text() for path in helm.charts.glob("*/Chart.yaml")}
    of_version(helm.charts, OLDER)
    helm.install(values(example))
    kubernetes.until(lambda: available(kubernetes))
    before = kubernetes.list("apps/v1", "Deployment")
    assert {image(found["spec"]["template"]) for found in before.values()} == {OLDER}
    for path, text in current.items():
        path.write_text(text)
    helm.upgrade(values(example), dry_run="server")
    assert kubernetes.list("apps/v1", "Deployment").keys() == before.keys()
    helm.upgrade(values(example))
    kubernetes.until(lambda: available(kubernetes))
    after = kubernetes.list("apps/v1", "Deployment")
    assert {name: found["metadata"]["uid"] for name, found in after.items()} == {
        name: found["metadata"]["uid"] for name, found in before.items()
    }
    assert OLDER not in {image(found["spec"]["template"]) for found in after.values()}
    kubernetes.until(lambda: OLDER not in map(image, kubernetes.list("v1", "Pod").values()))


def test_no_pod_is_taken_away_before_its_successor_is_ready(helm: Helm, kubernetes: Kubernetes, pods: Nodes) -> None:
    """A new tag makes a new ReplicaSet of one pod more; as long as that is not ready all old ones serve on."""
    given = over(values("existing-secrets"), {"gateway": {"replicas": 3}})
    helm.install(given)
    kubernetes.until(lambda: available(kubernetes))
    with pods.holding(lambda pod: image(pod) == "0.2.0" and pod["spec"]["restartPolicy"] == "Always"):
        helm.upgrade(with_tag(given, "0.2.0"))
        kubernetes.until(lambda: len(kubernetes.list("v1", "Pod", **GATEWAY)) == 4)
        found = list(kubernetes.list("v1", "Pod", **GATEWAY).values())
        assert sorted((image(pod), ready(pod)) for pod in found) == [*[("0.1.0", True)] * 3, ("0.2.0", False)]
        assert len(kubernetes.list("apps/v1", "ReplicaSet", **GATEWAY)) == 2
    kubernetes.until(lambda: [image(pod) for pod in kubernetes.list("v1", "Pod", **GATEWAY).values()] == ["0.2.0"] * 3)


def test_a_rollback_goes_back_to_the_pods_before(helm: Helm, kubernetes: Kubernetes) -> None:
    """`helm rollback` brings the ReplicaSets of the revision before back, and migrates nothing."""
    helm.install(values("existing-secrets"))
    kubernetes.until(lambda: available(kubernetes))
    sets = kubernetes.list("apps/v1", "ReplicaSet").keys()
    helm.upgrade(with_tag(values("existing-secrets"), "0.2.0"))
    kubernetes.until(lambda: available(kubernetes))
    assert kubernetes.list("apps/v1", "ReplicaSet").keys() > sets
    helm.rollback()

    def wanted() -> set[str]:
        return {name for name, found in kubernetes.list("apps/v1", "ReplicaSet").items() if found["spec"]["replicas"]}

    kubernetes.until(lambda: wanted() == sets)
    kubernetes.until(lambda: available(kubernetes))


def test_what_the_autoscaler_has_set_stays(helm: Helm, kubernetes: Kubernetes) -> None:
    """The number of replicas is the autoscaler's: an upgrade neither resets it nor quarrels about it."""
    helm.install(values("production"))
    kubernetes.until(lambda: available(kubernetes))
    path = kubernetes.path("apps/v1", "Deployment", "crm-records")
    kubernetes.merge(f"{path}/scale", {"spec": {"replicas": 7}}).raise_for_status()
    helm.upgrade(with_tag(values("production"), "0.2.0"))
    found = kubernetes.get("apps/v1", "Deployment", "crm-records")
    assert found is not None
    assert found["spec"]["replicas"] == 7


def test_a_canary_comes_and_goes_beside_the_release(helm: Helm, kubernetes: Kubernetes) -> None:
    """The second release takes nothing of the first, and leaves it as it was."""
    helm.install(values("production"))
    kubernetes.until(lambda: available(kubernetes))
    first = kubernetes.list("apps/v1", "Deployment").keys()
    overlay: dict[str, Any] = yaml.safe_load((HELM / "overlays" / "canary.yaml").read_text())
    helm.install(with_tag(over(values("production"), overlay), "0.2.0"), release="crm-canary")
    kubernetes.until(lambda: available(kubernetes))
    assert len(kubernetes.list("apps/v1", "Deployment")) == 2 * len(SERVICES)
    helm.uninstall("crm-canary")
    kubernetes.until(lambda: kubernetes.list("apps/v1", "Deployment").keys() == first)
    kubernetes.until(lambda: available(kubernetes))


def test_two_upgrades_at_once_do_not_mix(helm: Helm, kubernetes: Kubernetes, pods: Nodes) -> None:
    """While one waits for its migration the other is refused, and the first goes through."""
    helm.install(values("existing-secrets"))
    with ThreadPoolExecutor() as pool:
        with pods.holding(lambda pod: pod["spec"]["restartPolicy"] == "Never"):
            first = pool.submit(helm.upgrade, with_tag(values("existing-secrets"), "0.2.0"))
            kubernetes.until(lambda: "0.2.0" in map(image, kubernetes.list("v1", "Pod").values()))
            with pytest.raises(Exception, match=r"another operation .* is in progress"):
                helm.upgrade(with_tag(values("existing-secrets"), "0.3.0"))
        first.result()
