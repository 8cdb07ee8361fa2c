"""Starting, stopping and looking at a whole stack."""

import asyncio
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ops.embedded.ports import is_free
from ops.embedded.process import tail
from ops.stack import database, readiness
from ops.stack.errors import StackError
from ops.stack.home import Home
from ops.stack.plan import ALL, SERVERS, Plan, gateway_port, make_plan
from ops.stack.supervisor import Supervisor

_READY_SECONDS = 120.0
_CRASHED = {"BACKOFF", "FATAL", "EXITED"}


@dataclass(frozen=True)
class Condition:
    """One process as `status` shows it."""

    name: str
    state: str
    pid: int
    port: int
    ready: bool
    detail: str = ""


class Stack:
    """The stack of one home directory; `services` can leave out some, for tests of the servers alone."""

    def __init__(self, home: Home, environ: Mapping[str, str] = os.environ, services: tuple[str, ...] = ALL) -> None:
        self.home = home
        self.supervisor = Supervisor(home)
        self._environ = environ
        self._services = services

    @property
    def plan(self) -> Plan:
        """The plan of the stack as it was last started."""
        return make_plan(self.home, self._environ, self._services, assign=False)

    @property
    def address(self) -> str:
        """Where clients come in."""
        return f"http://localhost:{self.plan.ports['gateway']}"

    @property
    def demo_loaded(self) -> Path:
        """Exists once the demo is in the data."""
        return self.home.demo_loaded

    @property
    def client_environ(self) -> dict[str, str]:
        """What a client is told."""
        return {"GATEWAY_URL": self.plan.gateway_url}

    def follow(self, names: tuple[str, ...]) -> list[str]:
        """The command that follows the logs."""
        known = {path.stem: str(path) for path in sorted(self.home.log.glob("*.log"))}
        unknown = [name for name in names if name not in known]
        if unknown or not known:
            raise StackError(f"No log of {', '.join(unknown) or 'anything'}; there are: {', '.join(known) or 'none'}")
        return ["tail", "-n", "20", "-F", *(known[name] for name in names or known)]

    def up(self, *, tied: bool = False) -> Plan:
        """Start what does not run and return when all is ready; `tied` ends the stack with this process."""
        with self.home.locked():
            plan = self._found() if self.supervisor.running else self._start(tied=tied)
            self._wait_for_servers(plan)
            _prepare_database(plan)
            if plan.services:
                self.supervisor.start_group("services")
            self._wait_for_services(plan)
            return plan

    def down(self) -> None:
        """Stop exactly what was started here."""
        with self.home.locked():
            self.supervisor.stop()

    def reset(self) -> None:
        """Stop, and forget all data."""
        with self.home.locked():
            self.supervisor.stop()
            self.home.remove_data()

    def status(self) -> list[Condition]:
        """The condition of each process of a running stack; empty when there is none."""
        known = self.supervisor.processes()
        if not known:
            return []
        plan = self.plan
        with ThreadPoolExecutor(len(known)) as threads:
            return list(threads.map(lambda name: _condition(plan, name, known[name]), known))

    def _found(self) -> Plan:
        port = self.plan.ports["gateway"]
        if self._environ.get("PORT") and gateway_port(self._environ) != port:
            raise StackError(f"The stack already runs, on port {port}: stop it first with ./taskw down")
        return self.plan

    def _start(self, *, tied: bool) -> Plan:
        port = gateway_port(self._environ)
        self.supervisor.sweep()
        if "gateway" in self._services and not is_free(port):
            raise StackError(f"Port {port} is taken by another program: choose one, as in PORT={port + 1} ./taskw up")
        plan = make_plan(self.home, self._environ, self._services, assign=True)
        for server in plan.servers.values():
            server.prepare()
        processes = plan.processes()
        servers = {name: process for name, process in processes.items() if name in plan.servers}
        services = {name: process for name, process in processes.items() if name not in plan.servers}
        configuration = self.supervisor.configure(servers, services)
        self.supervisor.start(configuration, service_environ(self._environ), tied=tied)
        return plan

    def _wait_for_servers(self, plan: Plan) -> None:
        checks = {name: partial(self._answers, name, server.ready) for name, server in plan.servers.items()}
        self._demand(dict.fromkeys(readiness.wait_all(checks, _READY_SECONDS), "does not answer"))

    def _wait_for_services(self, plan: Plan) -> None:
        checks = {
            name: partial(self._answers, name, partial(readiness.ready, plan.ports[name])) for name in plan.services
        }
        pending = readiness.wait_all(checks, _READY_SECONDS)
        self._demand({name: readiness.failing(readiness.ask(plan.ports[name])[1]) for name in pending})

    def _answers(self, name: str, ready: Callable[[], bool]) -> bool:
        if ready():
            return True
        if self.supervisor.processes()[name]["statename"] in _CRASHED:
            self._demand({name: "ended while starting"})
        return False

    def _demand(self, pending: Mapping[str, str]) -> None:
        if pending:
            parts = [f"{name} is not ready: {reason}\n{self._said(name)}" for name, reason in pending.items()]
            raise StackError("\n".join(parts))

    def _said(self, name: str) -> str:
        lines = tail(self.home.log / f"{name}.log", 200).splitlines()
        return "\n".join([line for line in lines if "/health/ready" not in line][-12:])


def service_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """What services inherit: everything but the addresses, of which each is given its own."""
    return {name: value for name, value in environ.items() if name not in {"PORT", "HOST", *SERVERS.values()}}


def _prepare_database(plan: Plan) -> None:
    # In a thread, since the caller may have an event loop of its own.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(database.prepare(plan))).result()


def _condition(plan: Plan, name: str, info: Mapping[str, object]) -> Condition:
    detail = ""
    if name in plan.servers:
        ready = plan.servers[name].ready()
    else:
        status, body = readiness.ask(plan.ports[name])
        ready = status == 200
        detail = "" if ready else readiness.failing(body)
    return Condition(
        name, str(info["statename"]).lower(), int(str(info["pid"])), plan.ports.get(name, 0), ready, detail
    )
