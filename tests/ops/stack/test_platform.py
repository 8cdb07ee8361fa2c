"""The whole platform under the launcher: five services, ready together, back after a crash, gone when told."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

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


def test_the_stack_starts_from_nothing_and_from_its_data(tmp_path: Path) -> None:
    """From nothing, with initdb and migrations, and again with the data there, every process gets ready."""
    stack = Stack(Home(tmp_path), {**os.environ, "PORT": str(free_port())})
    try:
        for _ in range(2):
            stack.up()
            assert {condition.name for condition in stack.status() if condition.ready} >= set(ALL)
            stack.down()
    finally:
        stack.reset()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_dev_takes_everything_along(tmp_path: Path, end: signal.Signals) -> None:
    """Ctrl-C, SIGTERM and even SIGKILL of `millrace dev` leave no process of the stack behind."""
    port = free_port()
    environ = {**os.environ, "MILLRACE_HOME": str(tmp_path), "PORT": str(port), "STACK": "embedded"}
    run = [sys.executable, "-c", "from ops.cli import main; main()", "dev", "--no-demo"]
    with subprocess.Popen(run, cwd=PROJECT, env=environ, stdout=subprocess.PIPE, start_new_session=True) as dev:
        assert dev.stdout is not None
        assert dev.stdout.readline().startswith(b"ready in ")
        assert httpx.get(f"http://127.0.0.1:{port}/api/v1/status").status_code == 200
        supervisor = psutil.Process(Stack(Home(tmp_path), environ).supervisor.call("getPID"))
        family = [supervisor, *supervisor.children(recursive=True), *psutil.Process(dev.pid).children(recursive=True)]
        dev.send_signal(end)
        dev.stdout.read()
    until(lambda: not any(process.is_running() for process in family))
