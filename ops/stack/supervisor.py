"""supervisord: its configuration, starting and ending it, and asking it over its socket."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from xmlrpc.client import Error, ServerProxy

import psutil
from supervisor.xmlrpc import SupervisorTransport

from ops.embedded import Process
from ops.embedded.process import command, tail
from ops.stack.errors import StackError
from ops.stack.home import PROJECT, Home

_START_SECONDS = 15.0
_STOP_SECONDS = 60.0

_HEAD = """\
[supervisord]
nodaemon = true
silent = true
logfile = {log}/supervisor.log
logfile_maxbytes = 5MB
logfile_backups = 1
pidfile = {run}/supervisor.pid
childlogdir = {log}
{user}
[unix_http_server]
file = {socket}
chmod = 0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""

_PROGRAM = """
[program:{name}]
command = {command}
autostart = {autostart}
autorestart = true
startsecs = 1
startretries = 100
stopsignal = {stop_signal}
stopwaitsecs = 15
stdout_logfile = {log}/{name}.log
stdout_logfile_maxbytes = 20MB
stdout_logfile_backups = 1
redirect_stderr = true
"""

_GROUP = """
[group:{name}]
programs = {programs}
priority = {priority}
"""


class Supervisor:
    """The supervisor of one stack, running or not."""

    def __init__(self, home: Home) -> None:
        self._home = home

    @property
    def running(self) -> bool:
        """Whether it answers."""
        try:
            return bool(self.call("getState"))
        except (OSError, Error):
            return False

    def call(self, method: str, *arguments: Any) -> Any:
        """A call of supervisord's API; `OSError` when it is not there."""
        socket = self._home.socket("supervisor")
        if socket.stat().st_uid != os.geteuid():
            raise PermissionError(f"{socket} belongs to another user")
        transport = SupervisorTransport(None, None, f"unix://{socket}")
        try:
            return getattr(ServerProxy("http://127.0.0.1", transport=transport).supervisor, method)(*arguments)
        finally:
            transport.close()

    def start(self, configuration: Path, environ: Mapping[str, str], *, tied: bool) -> None:
        """Start it with the servers; `tied` to this process, or for as long as it likes."""
        arguments = [
            sys.executable,
            "-m",
            "ops.stack.supervise",
            str(configuration),
            *(["tied"] if tied else []),
        ]
        log = self._home.log / "supervisor.log"
        with log.open("ab") as output:
            popen = subprocess.Popen(
                arguments,
                cwd=PROJECT,
                env={**environ, "MILLRACE_PARENT": str(os.getpid())},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self.running:
            if popen.poll() is not None or time.monotonic() > deadline:
                raise StackError(f"The supervisor did not start:\n{tail(log)}")
            time.sleep(0.02)
        _held.append(popen)

    def start_group(self, name: str) -> None:
        """Start the processes of a group that are not running, at once those that wait to be tried again."""
        for process, info in self.processes().items():
            if info["group"] == name and info["statename"] == "BACKOFF":
                self.call("stopProcess", f"{name}:{process}")
        self.call("startProcessGroup", name, False)

    def stop(self) -> None:
        """End everything it started, services before servers, and itself; and what an earlier one left."""
        if self.running:
            supervisor = psutil.Process(self.call("getPID"))
            self.call("shutdown")
            _gone([supervisor], _STOP_SECONDS)
        self.sweep()

    def sweep(self) -> None:
        """End what a killed supervisor left behind, and remove its traces."""
        left = {path: process for path in self._home.run.glob("*.pid") if (process := _left_by(path))}
        for path, process in left.items():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(_stop_signal(path.with_suffix(".json")))
        _gone(list(left.values()), 10.0)
        for path in self._home.run.glob("*.pid"):
            path.unlink()

    def processes(self) -> dict[str, dict[str, Any]]:
        """What supervisord knows of each process, by name; nothing when it is not running."""
        try:
            known = self.call("getAllProcessInfo")
        except (OSError, Error):
            return {}
        return {info["name"]: info for info in known}

    def send(self, signal_name: str, name: str) -> None:
        """Send a signal, such as `KILL`, to one process."""
        info = self.processes()[name]
        self.call("signalProcess", f"{info['group']}:{name}", signal_name)

    def configure(self, servers: Mapping[str, Process], services: Mapping[str, Process]) -> Path:
        """Write its configuration, with a spec for each process."""
        home = self._home
        user = "user = root\n" if os.geteuid() == 0 else ""
        text = _HEAD.format(
            log=_plain(home.log), run=_plain(home.run), socket=_plain(home.socket("supervisor")), user=user
        )
        for group, priority, processes in (("servers", 10, servers), ("services", 20, services)):
            text += "".join(self._program(process, autostart=group == "servers") for process in processes.values())
            if processes:
                text += _GROUP.format(name=group, priority=priority, programs=",".join(processes))
        path = home.run / "supervisord.conf"
        path.write_text(text)
        return path

    def _program(self, process: Process, *, autostart: bool) -> str:
        return _PROGRAM.format(
            name=process.name,
            command=_plain(shlex.join(command(process.write_spec(self._home.run)))),
            autostart=str(autostart).lower(),
            stop_signal=process.stop_signal,
            log=_plain(self._home.log),
        )


# A supervisor outlives the object that started it; its handle is kept so that it can be waited for.
_held: list[subprocess.Popen[bytes]] = []


def _plain(text: object) -> str:
    return str(text).replace("%", "%%")


def _left_by(path: Path) -> psutil.Process | None:
    # Whoever wrote the file was already running; a later process with its pid is another one.
    try:
        process = psutil.Process(int(path.read_text()))
        return process if process.create_time() <= path.stat().st_mtime + 1 else None
    except (psutil.NoSuchProcess, ValueError, FileNotFoundError):
        return None


def _stop_signal(spec: Path) -> signal.Signals:
    name = json.loads(spec.read_text())["stop_signal"] if spec.exists() else "TERM"
    return signal.Signals[f"SIG{name}"]


def _gone(processes: list[psutil.Process], seconds: float) -> None:
    for popen in _held:
        popen.poll()
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=5)
