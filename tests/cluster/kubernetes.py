"""What tests ask of an API server, by the names of kinds."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from tests.support.waiting import PATIENCE, until

Object = dict[str, Any]
APPLY = {"content-type": "application/apply-patch+yaml"}
MERGE = {"content-type": "application/merge-patch+json"}


class Kubernetes:
    """One namespace of it."""

    def __init__(self, client: httpx.Client, namespace: str) -> None:
        self.client = client
        self.namespace = namespace
        self._kinds: dict[tuple[str, str], tuple[str, bool]] = {}

    def kinds(self) -> dict[tuple[str, str], tuple[str, bool]]:
        """The path of every kind that can be listed, and whether its objects lie in namespaces."""
        if not self._kinds:
            self._kinds = dict(self._discover())
        return self._kinds

    def _discover(self) -> Iterator[tuple[tuple[str, str], tuple[str, bool]]]:
        groups = self.client.get("/apis").raise_for_status().json()["groups"]
        versions = ["v1", *(version["groupVersion"] for group in groups for version in group["versions"])]
        for version in versions:
            root = f"/api/{version}" if version == "v1" else f"/apis/{version}"
            for resource in self.client.get(root).raise_for_status().json()["resources"]:
                if {"list", "delete"} <= set(resource["verbs"]) and "/" not in resource["name"]:
                    yield (version, resource["kind"]), (f"{root}|{resource['name']}", resource["namespaced"])

    def path(self, version: str, kind: str, name: str = "") -> str:
        """Where objects of a kind are."""
        found, namespaced = self.kinds()[version, kind]
        root, plural = found.split("|")
        within = f"/namespaces/{self.namespace}" if namespaced else ""
        return f"{root}{within}/{plural}" + (f"/{name}" if name else "")

    def list(self, version: str, kind: str, **labels: str) -> dict[str, Object]:
        """The objects of a kind with these labels, by name."""
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        answer = self.client.get(self.path(version, kind), params={"labelSelector": selector}).raise_for_status()
        return {found["metadata"]["name"]: found for found in answer.json()["items"]}

    def get(self, version: str, kind: str, name: str) -> Object | None:
        """An object, where there is one."""
        answer = self.client.get(self.path(version, kind, name))
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        return dict(answer.raise_for_status().json())

    def apply(self, manifest: Object, *, dry: bool = False) -> Object:
        """Sends an object as `kubectl apply --server-side --validate=strict` does."""
        path = self.path(manifest["apiVersion"], manifest["kind"], manifest["metadata"]["name"])
        given = {"fieldManager": "tests", "fieldValidation": "Strict", "force": "true"}
        answer = self.client.patch(
            path, params=given | ({"dryRun": "All"} if dry else {}), json=manifest, headers=APPLY
        )
        assert answer.is_success, f"{manifest['kind']} {manifest['metadata']['name']}: {answer.text}"
        return dict(answer.json())

    def merge(self, path: str, change: Object) -> httpx.Response:
        """Changes an object."""
        return self.client.patch(path, json=change, headers=MERGE)

    def everything(self) -> dict[tuple[str, str, str], Object]:
        """All objects of the namespace, by version, kind and name."""
        found = {}
        for (version, kind), (_, namespaced) in self.kinds().items():
            if namespaced and kind not in ("Event", "Lease"):
                found |= {(version, kind, name): item for name, item in self.list(version, kind).items()}
        return found

    def until(self, condition: Callable[[], object]) -> None:
        """Waits for the controllers."""
        until(condition, PATIENCE * 2)


def long_ago() -> str:
    """A time before everything that tests make, as Kubernetes writes times."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600))
