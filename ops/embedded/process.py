"""A foreground process: how to run it, and how to start and stop one without leaving it behind."""

import json
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

CHILD = Path(__file__).with_name("child.py")
_STEP = 0.01


class ServerFailed(Exception):
    """A process of the stack ended or did not become ready; the message ends with the tail of its log."""


@dataclass(frozen=True)
class User:
    """Whom a process runs as; `reach` keeps the right to pass directories that are closed to that user."""

    uid: int
    gid: int
    reach: bool


@dataclass(frozen=True)
class Process:
    """A command line, its environment (added to the supervisor's with `inherit`), and its signals:
    the one that stops it, and the one it gets at its parent's death.
    """

    name: str
    argv: tuple[str, ...]
    directory: Path
    env: Mapping[str, str] = field(default_factory=dict)
    inherit: bool = False
    stop_signal: str = "TERM"
    death_signal: str = "KILL"
    user: User | None = None

    def write_spec(self, run: Path) -> Path:
        """Write what `child.py` reads, readable by the owner alone: the environment holds passwords."""
        spec = {**asdict(self), "directory": str(self.directory), "env": dict(self.env)}
        path = run / f"{self.name}.json"
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(json.dumps(spec, indent=1))
        return path


@dataclass(frozen=True)
class Spawned:
    """A started process and its log."""

    process: Process
    popen: subprocess.Popen[bytes]
    log: Path

    def wait_ready(self, ready: Callable[[], bool], timeout: float = 30.0) -> None:
        """Wait until `ready` says so; raise `ServerFailed` when the process ends or time is up."""
        deadline = time.monotonic() + timeout
        while not ready():
            if self.popen.poll() is not None:
                raise ServerFailed(f"{self.process.name} ended with {self.popen.returncode}\n{tail(self.log)}")
            if time.monotonic() > deadline:
                raise ServerFailed(f"{self.process.name} not ready after {timeout} s\n{tail(self.log)}")
            time.sleep(_STEP)

    def stop(self, timeout: float = 20.0) -> None:
        """Ask with the process's stop signal, kill when it does not end in time."""
        if self.popen.poll() is None:
            self.popen.send_signal(getattr(signal, f"SIG{self.process.stop_signal}"))
        try:
            self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


def command(spec: Path) -> list[str]:
    """The command line that turns into the process of a spec."""
    return [sys.executable, "-I", "-S", str(CHILD), str(spec)]


def spawn(process: Process, run: Path) -> Spawned:
    """Start a process that dies with this one; spec, pid and log go to the directory `run`."""
    log = run / f"{process.name}.log"
    environment = {"MILLRACE_PARENT": str(os.getpid())}
    with log.open("ab") as output:
        popen = subprocess.Popen(
            command(process.write_spec(run)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    return Spawned(process, popen, log)


def run_to_end(process: Process, run: Path, timeout: float = 60.0) -> None:
    """Run a process that ends by itself; raise `ServerFailed` with its output when it fails."""
    spawned = spawn(process, run)
    try:
        code = spawned.popen.wait(timeout)
    finally:
        spawned.stop()
    if code:
        raise ServerFailed(f"{process.name} ended with {code}\n{tail(spawned.log)}")


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def unprivileged(*paths: Path) -> User | None:
    """Whom to run as instead of root (`nobody`), reaching these paths; none when we are not root."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return User(nobody.pw_uid, nobody.pw_gid, not all(_open_to_all(path) for path in paths))


def _open_to_all(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in path.resolve().parents)
