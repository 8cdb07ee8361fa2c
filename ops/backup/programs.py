"""PostgreSQL's client programs from the wheel, told where the server is by environment, so no list shows a password."""

import os
import subprocess
from collections.abc import Mapping
from typing import IO
from urllib.parse import unquote, urlsplit

from ops.backup.store import BackupFailed
from ops.embedded.postgres import PROGRAMS

_LONGEST = 2000


def environment(dsn: str) -> dict[str, str]:
    """The variables by which libpq finds a server."""
    parts = urlsplit(dsn)
    query = dict(pair.split("=", 1) for pair in parts.query.split("&") if "=" in pair)
    return {
        "PATH": os.environ.get("PATH", ""),
        "PGHOST": unquote(parts.hostname or ""),
        "PGPORT": str(parts.port or 5432),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": parts.path.removeprefix("/"),
        "PGSSLMODE": query.get("sslmode", "prefer"),
        "PGSSLROOTCERT": query.get("sslrootcert", ""),
        "PGCONNECT_TIMEOUT": "10",
        "PGAPPNAME": "millrace backup",
    }


def start(
    program: str, *arguments: str, environ: Mapping[str, str], stdin: int | IO[bytes] | None = None, stdout: int
) -> subprocess.Popen[bytes]:
    """A client program; what it complains of is kept for `finish`."""
    command = [str(PROGRAMS / program), *arguments]
    return subprocess.Popen(command, env=environ, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE)


def finish(name: str, program: subprocess.Popen[bytes]) -> None:
    """Waits for the end of a program whose output has been read; raises what it complained of when it failed."""
    assert program.stderr is not None
    said = program.stderr.read().decode(errors="replace")
    if program.wait():
        raise BackupFailed(f"{name} failed: {said.strip()[-_LONGEST:]}")
