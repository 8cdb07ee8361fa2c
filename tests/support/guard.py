"""Keeps the PostgreSQL of one test run: `python -m tests.support.guard <pid of the run> <directory>`.

All workers of a run share the server, so none of them may own it. It ends when the run's process does, in
whatever way that happened, and its data with it.
"""

import json
import os
import shutil
import sys
import time
from pathlib import Path

import psutil

from ops.embedded import Postgres, Spawned, free_port, started
from ops.embedded.postgres import FORGETFUL

PASSWORD = "test"


def main(run: int, directory: Path) -> None:
    """Return when the server listens, leaving a process behind that keeps it until the run ends."""
    keeper = os.fork()
    if keeper == 0:
        os.setsid()
        _keep(psutil.Process(run), directory)
        return
    while not (directory / "port").exists():
        if os.waitpid(keeper, os.WNOHANG) != (0, 0):
            raise SystemExit(1)
        time.sleep(0.02)


def _keep(run: psutil.Process, directory: Path) -> None:
    server, spawned = _start(directory)
    try:
        _announce(directory, server.port)
        run.wait()
    finally:
        spawned.stop()
        shutil.rmtree(directory, ignore_errors=True)


def _start(directory: Path) -> tuple[Postgres, Spawned]:
    server = Postgres(directory / "postgres", free_port(), PASSWORD, FORGETFUL)
    server.prepare()
    return server, started(server)


def _announce(directory: Path, port: int) -> None:
    # In one step, so that no reader sees half of it.
    draft = directory / "port.draft"
    draft.write_text(json.dumps(port))
    draft.rename(directory / "port")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
