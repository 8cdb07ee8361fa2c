"""`doctor`: looks at each thing the platform stands on and says what to do about what is wrong."""

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from socket import create_connection
from urllib.parse import urlsplit

import click

from ops import addresses
from ops.embedded import postgres, valkey
from ops.embedded.nats import program as nats_program
from ops.embedded.ports import is_free
from ops.stack import Stack
from ops.stack.home import PROJECT, Home
from ops.stack.plan import SERVERS, gateway_port

_LEAST_DISK = 2 * 1024**3
_PORTS = {"DATABASE_URL": 5432, "REDIS_URL": 6379, "NATS_URL": 4222}


@dataclass(frozen=True)
class Finding:
    """What was looked at, whether it is well, and what to do if not."""

    subject: str
    well: bool
    fact: str
    remedy: str = ""


@click.command()
def doctor() -> None:
    """Check everything the platform stands on and say what to do."""
    findings = list(examine(Stack(Home.of(os.environ))))
    for finding in findings:
        click.echo(_line(finding))
    if not all(finding.well for finding in findings):
        sys.exit(1)


def examine(stack: Stack) -> Iterator[Finding]:
    """Each finding about this machine and the stack on it."""
    yield from (check() for check in (_python, _programs, lambda: _disk(stack.home)))
    yield from (_named(variable) for variable in SERVERS.values() if os.environ.get(variable))
    conditions = stack.status()
    if not conditions:
        yield _port()
        yield Finding("stack", True, "not running", "start it with ./taskw up")
    for condition in conditions:
        fact = f"{condition.state}, {'ready' if condition.ready else 'not ready'} {condition.detail}".rstrip()
        yield Finding(condition.name, condition.ready, fact, f"read its log: ./taskw logs -- {condition.name}")


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", sys.version_info >= (3, 11), version, "install Python 3.11 or newer, then ./taskw install")


def _programs() -> Finding:
    programs = (postgres.PROGRAMS / "postgres", valkey.program(), nats_program())
    missing = [str(path) for path in programs if not os.access(path, os.X_OK)]
    return Finding("servers", not missing, f"missing: {missing}" if missing else "installed", "run ./taskw install")


def _disk(home: Home) -> Finding:
    free = shutil.disk_usage(home.root if home.root.exists() else PROJECT).free
    return Finding("disk", free >= _LEAST_DISK, f"{free / 1024**3:.1f} GiB free", "free some space: 2 GiB are needed")


def _port() -> Finding:
    port = gateway_port(os.environ)
    free = is_free(port)
    fact = f"{port} is {'free' if free else 'taken'}"
    return Finding("port", free, fact, f"choose another one: PORT={port + 1} ./taskw up")


def _named(variable: str) -> Finding:
    if fault := addresses.fault(variable, os.environ[variable]):
        return Finding(variable, False, fault, f"correct it, or unset {variable}")
    parts = urlsplit(os.environ[variable])
    address = (parts.hostname or "localhost", parts.port or _PORTS[variable])
    try:
        create_connection(address, timeout=3).close()
    except OSError as error:
        return Finding(
            variable, False, f"{address[0]}:{address[1]}: {error}", f"start that server, or unset {variable}"
        )
    return Finding(variable, True, f"{address[0]}:{address[1]} accepts connections")


def _line(finding: Finding) -> str:
    mark = click.style("ok", fg="green") if finding.well else click.style("!!", fg="red")
    remedy = "" if finding.well else f"\n   → {finding.remedy}"
    return f"{mark} {finding.subject}: {finding.fact}{remedy}"
