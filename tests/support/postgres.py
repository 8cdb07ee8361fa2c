"""One PostgreSQL per test run, one migrated template in it, one clone of that per test."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import asyncpg

from libs.common import migrate
from ops.embedded import Postgres
from tests.support.guard import PASSWORD

ROOT = Path(__file__).parents[2]
RUN = "MILLRACE_TEST_RUN"
TEMPLATE = "template_millrace"
_ROOMY = 3 * 1024**3
PASSWORDS = dict.fromkeys(("migrate", *migrate.SERVICES), PASSWORD)


@dataclass(frozen=True)
class Database:
    """A migrated database of its own, with a DSN for the superuser and one for each role."""

    server: Postgres
    name: str

    @property
    def admin_dsn(self) -> str:
        """The superuser's DSN: sees everything, for setting the scene and looking behind it."""
        return self.server.dsn("postgres", PASSWORD, self.name)

    def dsn(self, role: str) -> str:
        """The DSN of `auth`, `pipelines`, `records`, `realtime` or `migrate`."""
        return self.server.dsn(f"millrace_{role}", PASSWORD, self.name)


def begin_run() -> None:
    """Give the run a directory that all its workers inherit; only the first process of the run does so."""
    if RUN not in os.environ:
        directory = tempfile.mkdtemp(prefix="millrace-tests-", dir=_fast_directory())
        os.environ[RUN] = f"{os.getpid()}:{directory}"


def end_run() -> None:
    """Take the directory away, unless a server's guard will do so."""
    pid, directory = _run()
    if pid == os.getpid() and not (directory / "port").exists():
        for path in directory.iterdir():
            path.unlink()
        directory.rmdir()


def shared_server() -> Postgres:
    """The server of this run; the first who asks starts it."""
    pid, directory = _run()
    with _locked(directory / "lock"):
        if not (directory / "port").exists():
            _start_guard(pid, directory)
    port = int((directory / "port").read_text())
    return Postgres(directory / "postgres", port, PASSWORD)


async def make_template(server: Postgres) -> None:
    """Bootstrap and migrate the template once per run."""
    _, directory = _run()
    marker = directory / "template"
    with _locked(directory / "lock.template"):
        if not marker.exists():
            await _make_template(server)
            marker.touch()


async def clone(server: Postgres) -> Database:
    """A copy of the template."""
    database = Database(server, f"test_{uuid4().hex}")
    await _admin(server, f"create database {database.name} template {TEMPLATE} strategy file_copy")
    return database


async def drop(database: Database) -> None:
    """Drop a copy, whoever is still connected."""
    await _admin(database.server, f"drop database if exists {database.name} with (force)")


@asynccontextmanager
async def cloned(server: Postgres) -> AsyncIterator[Database]:
    """A copy of the template for the length of a block."""
    database = await clone(server)
    try:
        yield database
    finally:
        await drop(database)


def _fast_directory() -> str | None:
    # In memory a clone takes 12 ms, on disk 95; a container's default of 64 MB would not do.
    memory = Path("/dev/shm")  # noqa: S108 - only its size and speed are wanted
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > _ROOMY
    return str(memory) if roomy else None


def _run() -> tuple[int, Path]:
    pid, _, directory = os.environ[RUN].partition(":")
    return int(pid), Path(directory)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _start_guard(pid: int, directory: Path) -> None:
    log = directory / "guard.log"
    command = [sys.executable, "-m", "tests.support.guard", str(pid), str(directory)]
    with log.open("wb") as output:
        guard = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    if guard.returncode:
        raise RuntimeError(f"the PostgreSQL of the test run did not start:\n{log.read_text()}")


async def _make_template(server: Postgres) -> None:
    await _admin(server, f"drop database if exists {TEMPLATE} with (force)")
    await _admin(server, f"create database {TEMPLATE}")
    template = Database(server, TEMPLATE)
    await migrate.bootstrap(template.admin_dsn, PASSWORDS)
    for service in migrate.SERVICES:
        await migrate.up(template.dsn("migrate"), service, ROOT / "services" / service / "migrations")


async def _admin(server: Postgres, statement: str) -> None:
    connection = await asyncpg.connect(server.url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
