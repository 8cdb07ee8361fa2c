"""Servers that a test kills and starts again, on the same port and data."""

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from ops.embedded import Server, Spawned, free_port, started

S = TypeVar("S", bound=Server)


@dataclass
class Mortal(Generic[S]):
    """A running server; `kill` is SIGKILL to it and all its children."""

    server: S
    spawned: Spawned

    def kill(self) -> None:
        """End it at once, with nothing flushed."""
        self.signal(signal.SIGKILL)
        self.spawned.popen.wait(20)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server."""
        self.spawned.popen.send_signal(number)

    def pause(self) -> None:
        """Stop all its threads, and return when they have stopped; SIGCONT lets them go on."""
        self.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.spawned.popen.pid, os.WSTOPPED)

    def start(self) -> None:
        """Start it again."""
        self.spawned = started(self.server)


@contextmanager
def mortal(make: Callable[[Path, int], S]) -> Iterator[Mortal[S]]:
    """A server that may be killed; it is gone after the block."""
    with tempfile.TemporaryDirectory(prefix="millrace-", ignore_cleanup_errors=True) as directory:
        server = make(Path(directory) / "data", free_port())
        server.prepare()
        found = Mortal(server, started(server))
        try:
            yield found
        finally:
            found.spawned.stop()
