"""A Kubernetes API server of one's own, as envtest starts it: etcd, kube-apiserver and the controllers, on loopback.

The programs are those of `KUBEBUILDER_ASSETS`, which `setup-envtest` tells, and kube-controller-manager beside them.
"""

import os
import secrets
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import yaml
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ops.embedded.ports import LOOPBACK, free_port
from ops.embedded.process import Process, spawn
from tests.support.authority import Authority

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager")
PATIENCE = 120.0
FLAGS = ("--authorization-mode=RBAC", "--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.0.0.0/16")


def assets() -> Path | None:
    """The folder with the programs; none where it is not told or one of them is missing."""
    folder = Path(os.environ.get("KUBEBUILDER_ASSETS", "/usr/local/kubebuilder/bin"))
    return folder if all(os.access(folder / name, os.X_OK) for name in PROGRAMS) else None


class ControlPlane:
    """Where it is, how to ask it, and the file by which Helm finds it; who asks may do everything."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"https://{LOOPBACK}:{self.port}"
        self.kubeconfig = folder / "kubeconfig"
        self._accounts = folder / "accounts.key"
        self._token = secrets.token_hex(16)
        self._files = Authority(folder / "tls").issue("kube-apiserver")

    def processes(self, programs: Path) -> Iterator[tuple[Process, str]]:
        """Each process, in the order of their start, with where it tells that it is ready."""
        taken = {self.port}
        client, peer, metrics, secure = (free_port(taken) for _ in range(4))
        etcd = f"http://{LOOPBACK}:{client}"
        yield self._process(programs / "etcd", *self._etcd(etcd, peer, metrics)), f"http://{LOOPBACK}:{metrics}/health"
        yield self._process(programs / "kube-apiserver", *self._apiserver(etcd)), f"{self.url}/readyz"
        flags = self._controllers(secure)
        yield self._process(programs / "kube-controller-manager", *flags), f"https://{LOOPBACK}:{secure}/healthz"

    def write(self) -> None:
        """Writes what the processes and Helm read."""
        key = generate_private_key(SECP256R1())
        # The form of EC keys that the API server reads.
        self._accounts.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
        (self.folder / "tokens.csv").write_text(f'{self._token},admin,admin,"system:masters"\n')
        cluster = {"server": self.url, "certificate-authority": self._files.authority}
        config = {"apiVersion": "v1", "kind": "Config", "current-context": "tests"} | {
            "clusters": [{"name": "tests", "cluster": cluster}],
            "users": [{"name": "tests", "user": {"token": self._token}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
        }
        self.kubeconfig.write_text(yaml.safe_dump(config))

    def client(self) -> httpx.Client:
        """Asks the API server."""
        context = ssl.create_default_context(cafile=self._files.authority)
        return httpx.Client(base_url=self.url, verify=context, headers={"Authorization": f"Bearer {self._token}"})

    def _process(self, program: Path, *flags: str) -> Process:
        return Process(program.name, (str(program), *flags), self.folder)

    def _etcd(self, url: str, peer: int, metrics: int) -> tuple[str, ...]:
        at = f"http://{LOOPBACK}:{peer}"
        return (
            f"--data-dir={self.folder / 'etcd'}",
            "--unsafe-no-fsync",
            *(f"--{side}-client-urls={url}" for side in ("listen", "advertise")),
            *(f"--{name}={at}" for name in ("listen-peer-urls", "initial-advertise-peer-urls")),
            f"--initial-cluster=default={at}",
            f"--listen-metrics-urls=http://{LOOPBACK}:{metrics}",
        )

    def _apiserver(self, etcd: str) -> tuple[str, ...]:
        return (
            f"--etcd-servers={etcd}",
            f"--bind-address={LOOPBACK}",
            f"--advertise-address={LOOPBACK}",
            f"--secure-port={self.port}",
            *self._served(),
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self._accounts}",
            f"--service-account-signing-key-file={self._accounts}",
            *FLAGS,
        )

    def _controllers(self, port: int) -> tuple[str, ...]:
        return (
            *(f"--{use}kubeconfig={self.kubeconfig}" for use in ("", "authentication-", "authorization-")),
            f"--bind-address={LOOPBACK}",
            f"--secure-port={port}",
            *self._served(),
            "--leader-elect=false",
            "--horizontal-pod-autoscaler-sync-period=1s",
            f"--root-ca-file={self._files.authority}",
            f"--service-account-private-key-file={self._accounts}",
        )

    def _served(self) -> tuple[str, ...]:
        return f"--tls-cert-file={self._files.certificate}", f"--tls-private-key-file={self._files.key}"


@contextmanager
def running(programs: Path, folder: Path) -> Iterator[ControlPlane]:
    """The control plane, which ends with the block."""
    plane = ControlPlane(folder)
    plane.write()
    with ExitStack() as stack:
        client = stack.enter_context(plane.client())
        for process, health in plane.processes(programs):
            spawned = spawn(process, folder)
            stack.callback(spawned.stop)
            spawned.wait_ready(lambda health=health: _well(client, health), PATIENCE)  # type: ignore[misc]
        yield plane


def _well(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(url).is_success
    except httpx.TransportError:
        return False
