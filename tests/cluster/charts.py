"""The charts in a folder of their own, where a test may change them, and Helm at work with them on the API server."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from helm_python import Config

from tests.cluster.kubernetes import Kubernetes
from tests.deploy.charts import HELM, Manifest, render

SECONDS = 240


def copied(folder: Path) -> Path:
    """The charts, and the rules and dashboards that one of them links to."""
    shutil.copytree(HELM, folder / "helm", symlinks=True)
    shutil.copytree(HELM.parent / "observability", folder / "observability")
    return folder / "helm"


def of_version(charts: Path, version: str) -> Path:
    """Makes them charts and images of another version."""
    for path in charts.glob("*/Chart.yaml"):
        path.write_text(re.sub(r"(?m)(ersion: )0\.\d+\.\d+", rf"\g<1>{version}", path.read_text()))
    return charts


class Helm:
    """Helm in one namespace, with charts of one folder."""

    def __init__(self, charts: Path, kubeconfig: Path, kubernetes: Kubernetes) -> None:
        self.charts = charts
        self._config = Config(kubeconfig_path=kubeconfig, namespace=kubernetes.namespace)
        self._namespace = kubernetes.namespace

    def rendered(self, chart: str, values: dict[str, Any], release: str = "crm") -> Iterator[Manifest]:
        """The objects of a chart, in this namespace."""
        return render(self.charts / chart, values, release, self._namespace)

    def install(self, values: dict[str, Any], release: str = "crm", chart: str = "millrace", **options: Any) -> Any:
        """`helm install`, which returns when all hooks have run."""
        given = {"namespace": self._namespace, "timeout": SECONDS, "wait": "hookOnly"} | options
        return self._config.install(self.charts / chart, release, values, **given)

    def upgrade(self, values: dict[str, Any], release: str = "crm", chart: str = "millrace", **options: Any) -> Any:
        """`helm upgrade`, likewise."""
        given = {"namespace": self._namespace, "timeout": SECONDS, "wait": "hookOnly"} | options
        return self._config.upgrade(self.charts / chart, release, values, **given)

    def rollback(self, release: str = "crm") -> None:
        """`helm rollback` to the revision before."""
        self._config.rollback(release, timeout=SECONDS, wait="hookOnly")

    def uninstall(self, release: str = "crm") -> None:
        """`helm uninstall`."""
        self._config.uninstall(release, timeout=SECONDS)

    def close(self) -> None:
        """Leaves the API server."""
        self._config.close()
