"""The whole platform under the launcher: five services, ready together, back after a crash, gone when told."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil

from ops.embedded import free_port
from ops.stack import Stack
from ops.stack.home import PROJECT, Home
from ops.stack.plan import ALL
from tests.support.platform import Platform
from tests.support.waiting import until


def test_every_process_is_ready(stack: Platform) -> None:
    """When `up` returns, each process runs and says that it is ready."""
    conditions = stack.stack.status()
    assert {condition.name for condition in conditions if condition.ready} >= set(ALL)


def test_a_killed_service_comes_back(stack: Platform) -> None:
    """SIGKILL of a service costs a restart, after which the gateway reports everything well again."""

    def pid() -> int:
        return next(condition.pid for condition in stack.stack.status() if condition.name == "realtime")

    before = pid()
    stack.kill("realtime")
    until(lambda: pid() not in {0, before})
    until(lambda: all(condition.ready for condition in stack.stack.status()))


def test_dev_takes_everything_along(tmp_path: Path) -> None:
    """Every process gets ready from nothing and from the data that is there, also that of a killed one; and Ctrl-C,
    SIGTERM and even SIGKILL of `millrace dev` leave no process of the stack behind.
    """
    port = free_port()
    environ = {**os.environ, "MILLRACE_HOME": str(tmp_path), "PORT": str(port), "STACK": "embedded"}
    run = [sys.executable, "-c", "from ops.cli import main; main()", "dev", "--no-demo"]
    stack = Stack(Home(tmp_path), environ)
    for end in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM):
        with subprocess.Popen(run, cwd=PROJECT, env=environ, stdout=subprocess.PIPE, start_new_session=True) as dev:
            assert dev.stdout is not None
            assert dev.stdout.readline().startswith(b"ready in ")
            assert {condition.name for condition in stack.status() if condition.ready} >= set(ALL)
            assert httpx.get(f"http://127.0.0.1:{port}/api/v1/status").status_code == 200
            supervisor = psutil.Process(stack.supervisor.call("getPID"))
            below = psutil.Process(dev.pid).children(recursive=True)
            family = [supervisor, *supervisor.children(recursive=True), *below]
            dev.send_signal(end)
            dev.stdout.read()
        until(lambda family=family: not any(process.is_running() for process in family))  # type: ignore[misc]
