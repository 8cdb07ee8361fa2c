"""What the three servers have in common, and a running one for a `with` block."""

import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from ops.embedded.ports import LOOPBACK, free_port
from ops.embedded.process import Process, ServerFailed, Spawned, spawn

_ATTEMPTS = 3


class Server(Protocol):
    """One server: where its data is, how it is run, whether it answers."""

    @property
    def url(self) -> str:
        """What a client connects to."""

    @property
    def data(self) -> Path:
        """Its data directory."""

    def prepare(self) -> None:
        """Make the data directory and the configuration; harmless when they exist."""

    def process(self) -> Process:
        """How to run it in the foreground."""

    def ready(self) -> bool:
        """Whether it answers in its own protocol."""


AServer = TypeVar("AServer", bound=Server)


def started(server: Server) -> Spawned:
    """Start a prepared server and return when it is ready; it is stopped again when it does not get there."""
    spawned = spawn(server.process(), server.data.parent)
    try:
        spawned.wait_ready(server.ready)
    except BaseException:
        spawned.stop()
        raise
    return spawned


@contextmanager
def running(make: Callable[[Path, int], AServer]) -> Iterator[AServer]:
    """A server in a directory of its own that ends with the block.

    `make(directory, port)` describes it. A port that was taken between choosing and binding is replaced.
    """
    with tempfile.TemporaryDirectory(prefix="millrace-", ignore_cleanup_errors=True) as directory:
        server, spawned = _start(make, Path(directory))
        try:
            yield server
        finally:
            spawned.stop()


def _start(make: Callable[[Path, int], AServer], directory: Path) -> tuple[AServer, Spawned]:
    for attempt in range(1, _ATTEMPTS + 1):
        server = make(directory / "data", free_port())
        server.prepare()
        try:
            return server, started(server)
        except ServerFailed:
            if attempt == _ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def ask(port: int, question: bytes, timeout: float = 1.0) -> bytes:
    """Send bytes to a loopback port and return what comes back at first; empty when nobody answers."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout) as connection:
            connection.sendall(question)
            return connection.recv(4096)
    except OSError:
        return b""
