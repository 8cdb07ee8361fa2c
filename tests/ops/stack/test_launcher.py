"""The launcher starts, finds, restarts and stops exactly its own processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyrage
import pytest

from ops.embedded import Nats, free_port
from ops.stack import Stack, StackError
from ops.stack.home import PROJECT, Home
from tests.support.waiting import until

pytestmark = pytest.mark.integration
SERVERS = {"postgres", "valkey", "nats"}


def servers_only(root: Path, **environ: str) -> Stack:
    """A stack of the three servers, without services."""
    return Stack(Home(root), {"PATH": os.environ["PATH"], "PORT": str(free_port()), **environ}, services=())


def pids(stack: Stack) -> dict[str, int]:
    """The pid of each running process, by name."""
    return {condition.name: condition.pid for condition in stack.status() if condition.pid}


def gone(processes: list[psutil.Process]) -> bool:
    """Whether none of them runs any more."""
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


def family(stack: Stack) -> list[psutil.Process]:
    """The supervisor and everything below it."""
    supervisor = psutil.Process(stack.supervisor.call("getPID"))
    return [supervisor, *supervisor.children(recursive=True)]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A running stack of servers."""
    stack = servers_only(tmp_path / "one")
    stack.up()
    yield stack
    stack.reset()


def test_a_second_up_finds_what_runs(stack: Stack) -> None:
    """Starting twice starts nothing twice."""
    before = pids(stack)
    stack.up()
    assert set(before) == SERVERS
    assert pids(stack) == before


def test_down_stops_exactly_what_was_started(stack: Stack, tmp_path: Path) -> None:
    """Two stacks run side by side, and stopping one leaves the other alone."""
    other = servers_only(tmp_path / "two")
    other.up()
    try:
        ours, theirs = family(stack), pids(other)
        stack.down()
        assert gone(ours)
        assert pids(other) == theirs
    finally:
        other.reset()


def test_a_killed_supervisor_leaves_no_process(stack: Stack) -> None:
    """After SIGKILL of the supervisor its children end by themselves, and the next start is clean."""
    processes = family(stack)
    processes[0].kill()
    until(lambda: gone(processes))
    stack.up()
    assert set(pids(stack)) == SERVERS


def test_a_start_right_after_a_kill_waits_for_the_old_processes(stack: Stack) -> None:
    """Data directories are never shared by an old and a new server."""
    old = family(stack)
    old[0].kill()
    stack.up()
    assert gone(old)
    assert set(pids(stack)) == SERVERS


def test_a_crashed_server_is_restarted(stack: Stack) -> None:
    """A process that dies comes back under another pid."""
    before = pids(stack)["nats"]
    stack.supervisor.send("KILL", "nats")
    until(lambda: any(c.name == "nats" and c.ready and c.pid != before for c in stack.status()))


def test_a_restart_keeps_ports_and_passwords(stack: Stack) -> None:
    """Ports and secrets outlive `down`, so that a client's configuration stays right."""
    before = stack.plan
    stack.down()
    stack.up()
    assert stack.plan.ports == before.ports
    assert stack.plan.passwords == before.passwords


def test_secrets_are_the_owners_alone(stack: Stack) -> None:
    """Nobody else can read the passwords, nor the environments of the processes."""
    files = [stack.home.root / "secrets", *stack.home.run.glob("*.json")]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_a_tied_stack_ends_with_its_launcher(tmp_path: Path) -> None:
    """SIGKILL of the launcher in the foreground takes the whole stack along."""
    code = (
        "import os, sys; from pathlib import Path; from ops.stack import Stack; from ops.stack.home import Home;"
        f"Stack(Home(Path(sys.argv[1])), {{'PORT': '{free_port()}'}}, ()).up(tied=True); print('up', flush=True);"
        "sys.stdin.read()"
    )
    root = tmp_path / "tied"
    stack = servers_only(root)
    with subprocess.Popen(
        [sys.executable, "-c", code, str(root)], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.readline() == b"up\n"
        processes = family(stack)
        launcher.send_signal(signal.SIGKILL)
    until(lambda: gone(processes))


def test_a_service_that_ends_while_starting_is_told_at_once(tmp_path: Path) -> None:
    """The error names the service and ends with what it said, and `up` tries again without waiting."""
    broken = "import os, sys\nif 'services.records.main' in sys.orig_argv: print('broken', flush=True); os._exit(3)\n"
    (tmp_path / "sitecustomize.py").write_text(broken)
    environ = {"PATH": os.environ["PATH"], "PORT": str(free_port()), "PYTHONPATH": str(tmp_path)}
    stack = Stack(Home(tmp_path / "home"), environ, services=("records",))
    try:
        for _ in range(2):
            with pytest.raises(StackError, match=r"records is not ready: ended while starting\n(broken\n?)+"):
                stack.up()
    finally:
        stack.reset()


def test_a_taken_port_is_named(tmp_path: Path, nats_server: Nats) -> None:
    """A gateway port that another program holds is refused with a way out, before anything starts."""
    port = nats_server.port
    stack = Stack(Home(tmp_path / "taken"), {"PORT": str(port)})
    with pytest.raises(StackError, match=f"Port {port} is taken"):
        stack.up()
    assert not stack.supervisor.running


def test_a_running_stack_does_not_move(stack: Stack) -> None:
    """Asking for another port while the stack runs is refused, not ignored."""
    elsewhere = Stack(stack.home, {"PORT": str(free_port())}, services=())
    with pytest.raises(StackError, match="already runs, on port"):
        elsewhere.up()


def test_two_starts_at_once_make_one_stack(tmp_path: Path) -> None:
    """A start waits for another that is under way and then finds its processes."""
    code = (
        "import sys; from pathlib import Path; from ops.stack import Stack; from ops.stack.home import Home;"
        f"print(Stack(Home(Path(sys.argv[1])), {{'PORT': '{free_port()}'}}, ()).up().ports)"
    )
    run = [sys.executable, "-c", code, str(tmp_path)]
    stack = servers_only(tmp_path)
    try:
        starts = [subprocess.Popen(run, cwd=PROJECT, stdout=subprocess.PIPE) for _ in range(2)]
        said = [start.communicate(timeout=240)[0] for start in starts]
        assert [start.returncode for start in starts] == [0, 0]
        assert said[0] == said[1]
        assert set(pids(stack)) == SERVERS
    finally:
        stack.reset()


def test_another_kind_of_stack_is_refused(tmp_path: Path) -> None:
    """STACK names a kind that exists, or the error says which do."""
    with pytest.raises(StackError, match="STACK=embedded"):
        servers_only(tmp_path / "kind", STACK="podman").up()


def test_a_named_server_replaces_the_embedded_one(tmp_path: Path, nats_url: str) -> None:
    """With NATS_URL set, no NATS of ours is started."""
    stack = servers_only(tmp_path / "named", NATS_URL=nats_url)
    plan = stack.up()
    try:
        assert plan.nats_url == nats_url
        assert set(pids(stack)) == SERVERS - {"nats"}
    finally:
        stack.reset()


def test_a_stack_archives_when_it_is_asked_to(tmp_path: Path) -> None:
    """With BACKUP_ARCHIVE its PostgreSQL's WAL is streamed, and who forgot the key is told."""
    with pytest.raises(StackError, match="BACKUP_RECIPIENT"):
        servers_only(tmp_path / "one", BACKUP_ARCHIVE=f"file://{tmp_path}/archive").up()
    recipient = str(pyrage.x25519.Identity.generate().to_public())
    stack = servers_only(tmp_path / "one", BACKUP_ARCHIVE=f"file://{tmp_path}/archive", BACKUP_RECIPIENT=recipient)
    try:
        stack.up()
        assert set(pids(stack)) == {*SERVERS, "archive"}
        until(lambda: list((tmp_path / "archive").glob("*/partial/*.age")))
    finally:
        stack.reset()
