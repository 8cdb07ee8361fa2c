"""What nodes would tell of the pods: no containers run here, and what they come to is said by the test."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.cluster.kubernetes import MERGE, long_ago

Pod = dict[str, Any]


class Nodes:
    """Says of every pod that is not held back that it runs and is ready, or, where it is a job's, that it is done."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._held: list[Callable[[Pod], bool]] = []
        self._ended = threading.Event()

    @contextmanager
    def holding(self, chosen: Callable[[Pod], bool]) -> Iterator[None]:
        """Pods of the choice get nowhere until the block ends."""
        self._held.append(chosen)
        try:
            yield
        finally:
            self._held.remove(chosen)

    def run(self) -> None:
        """Goes on until the end."""
        while not self._ended.wait(0.1):
            for pod in self._client.get("/api/v1/pods").raise_for_status().json()["items"]:
                waits = pod["status"].get("phase", "Pending") == "Pending"
                if waits and not any(chosen(pod) for chosen in list(self._held)):
                    self._tell(pod)

    def end(self) -> None:
        """No more is said."""
        self._ended.set()

    def _tell(self, pod: Pod) -> None:
        once = pod["spec"]["restartPolicy"] == "Never"
        ready = {"status": "False" if once else "True", "lastTransitionTime": long_ago()}
        conditions = [{"type": kind, **ready} for kind in ("Ready", "ContainersReady")]
        status = {"phase": "Succeeded" if once else "Running", "conditions": conditions, "startTime": long_ago()}
        meta = pod["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/status"
        # Where it is gone by now, or has been changed, there is nothing to tell, or the next round does.
        self._client.patch(path, json={"status": status}, headers=MERGE)


@contextmanager
def nodes(client: httpx.Client) -> Iterator[Nodes]:
    """Nodes, as long as the block lasts."""
    made = Nodes(client)
    thread = threading.Thread(target=made.run)
    thread.start()
    try:
        yield made
    finally:
        made.end()
        thread.join()
