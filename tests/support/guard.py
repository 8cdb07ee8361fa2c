"""Keeps the PostgreSQL of one test run: `python -m tests.support.guard <pid of the run> <directory>`.

All workers of a run share the server, so none of them may own it. It ends when the run's process does, in
whatever way that happened, and its data with it.
"""

import json
import shutil
import sys
from pathlib import Path

import psutil

from ops.embedded import Postgres, Spawned, free_port, started
from ops.embedded.postgres import FORGETFUL

PASSWORD = "test"


def main(run: int, directory: Path) -> None:
    """Start the server, say where it listens, wait for the end of the run."""
    watched = psutil.Process(run)
    server, spawned = _start(directory)
    try:
        announce(directory, server.port)
        watched.wait()
    finally:
        spawned.stop()
        shutil.rmtree(directory, ignore_errors=True)


def _start(directory: Path) -> tuple[Postgres, Spawned]:
    server = Postgres(directory / "postgres", free_port(), PASSWORD, FORGETFUL)
    server.prepare()
    return server, started(server)


def announce(directory: Path, port: int) -> None:
    """Write the port in one step, so that no reader sees half of it."""
    draft = directory / "port.draft"
    draft.write_text(json.dumps(port))
    draft.rename(directory / "port")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
