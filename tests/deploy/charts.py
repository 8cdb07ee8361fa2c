"""The charts, rendered by Helm itself, as the objects that would be sent to a cluster."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import yaml

from deploy.settings import SERVICES

HELM = Path(__file__).parents[2] / "deploy" / "helm"
EXAMPLES = sorted(path.stem for path in (HELM / "examples").glob("*.yaml"))
CHARTS = (*SERVICES, "millrace")

Manifest = dict[str, Any]
Container = dict[str, Any]


def values(example: str) -> dict[str, Any]:
    """One of the example values files."""
    return dict(yaml.safe_load((HELM / "examples" / f"{example}.yaml").read_text()))


@cache
def rendered(example: str) -> tuple[Manifest, ...]:
    """All objects of the umbrella chart with an example's values, in the release `crm`."""
    return tuple(render("millrace", values(example)))


def render(
    chart: str | Path, given: dict[str, Any], release: str = "crm", namespace: str = "crm"
) -> Iterator[Manifest]:
    """The objects of a chart, of ours by its name or of any by its folder."""
    with helm_python.Chart.load(HELM / chart) as loaded:
        files = loaded.render(given, name=release, namespace=namespace)
    for path, text in sorted(files.items()):
        if path.endswith(".yaml"):
            yield from (document for document in yaml.safe_load_all(text) if document)


def of_kind(example: str, kind: str) -> dict[str, Manifest]:
    """The objects of a kind, by name."""
    return {found["metadata"]["name"]: found for found in rendered(example) if found["kind"] == kind}


def pods(example: str) -> dict[str, Manifest]:
    """The pod template of every workload, by the workload's kind and name."""
    found = {}
    for manifest in rendered(example):
        name = f"{manifest['kind']}/{manifest['metadata']['name']}"
        if manifest["kind"] in ("Deployment", "StatefulSet", "Job"):
            found[name] = manifest["spec"]["template"]
        elif manifest["kind"] == "CronJob":
            found[name] = manifest["spec"]["jobTemplate"]["spec"]["template"]
    return found


def containers(example: str) -> dict[str, Container]:
    """Every container, by its workload's kind and name and its own."""
    return {
        f"{name}/{container['name']}": container
        for name, pod in pods(example).items()
        for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
    }
