"""The servers of a test run end with it, even if it is killed."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from ops.stack.home import PROJECT
from tests.support.postgres import RUN
from tests.support.waiting import until

pytestmark = pytest.mark.integration

SLEEPER = """
from tests.support import postgres
postgres.begin_run()
print(postgres.shared_server().data.parent, flush=True)
input()
"""


def test_a_killed_run_leaves_no_server() -> None:
    """SIGKILL of the run's process ends its PostgreSQL and removes the data."""
    environ = {name: value for name, value in os.environ.items() if name != RUN}
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER], cwd=PROJECT, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as run:
        assert run.stdout is not None
        directory = Path(run.stdout.readline().decode().strip())
        server = psutil.Process(int((directory / "postgres.pid").read_text()))
        run.kill()
    until(lambda: not server.is_running() and not directory.exists())
