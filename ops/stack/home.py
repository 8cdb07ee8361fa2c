"""The stack's directory, `.millrace`: data, logs, ports, secrets, and what a running stack leaves there."""

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.embedded.ports import free_port, is_free
from ops.stack.errors import StackError

PROJECT = Path(__file__).parents[2]
_LONGEST_SOCKET_PATH = 90
_PASSWORDS = (
    "postgres",
    "migrate",
    "auth",
    "pipelines",
    "records",
    "realtime",
    "valkey",
    "nats",
    "signing_keys",
    "sealing",
)


@dataclass(frozen=True)
class Home:
    """Paths below one directory, and the small files that are kept in it."""

    root: Path

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Home":
        """The directory `MILLRACE_HOME`, by default `.millrace` in the project."""
        return cls(Path(environ.get("MILLRACE_HOME") or PROJECT / ".millrace").resolve())

    @property
    def run(self) -> Path:
        """Specs and pids of processes."""
        return self.root / "run"

    @property
    def log(self) -> Path:
        """A log per process."""
        return self.root / "log"

    @property
    def data(self) -> Path:
        """A directory per server."""
        return self.root / "data"

    @property
    def mail(self) -> Path:
        """Mails, as files, where no server is given that sends them."""
        return self.root / "mail"

    @property
    def files(self) -> Path:
        """Files, imports and exports, where no store is given."""
        return self.data / "files"

    @property
    def demo_loaded(self) -> Path:
        """Exists once the demo is in the data."""
        return self.data / "demo.loaded"

    def socket(self, process: str) -> Path:
        """A Unix socket of a process; elsewhere when the path is too long for one."""
        near = self.run / f"{process}.sock"
        if len(os.fsencode(near)) <= _LONGEST_SOCKET_PATH:
            return near
        name = hashlib.sha256(os.fsencode(near)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"millrace-{os.getuid()}-{name}.sock"

    def make(self) -> None:
        """Make the directories; other users may pass, since a server of root's runs as `nobody`."""
        for directory in (self.root, self.run, self.log, self.data):
            directory.mkdir(mode=0o711, parents=True, exist_ok=True)

    def remove_data(self) -> None:
        """Forget everything but which ports were used."""
        for directory in (self.data, self.run, self.log, self.mail):
            shutil.rmtree(directory, ignore_errors=True)
        (self.root / "secrets").unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One launcher at a time; the kernel lets go of the lock however the launcher ends."""
        self.make()
        with (self.root / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def passwords(self) -> dict[str, str]:
        """The password of each role and server, made at the first start; the file is the owner's alone."""
        path = self.root / "secrets"
        known = _read(path)
        missing = [name for name in _PASSWORDS if name not in known]
        if missing:
            known |= {name: secrets.token_urlsafe(24) for name in missing}
            _write(path, known, 0o600)
        return known

    def ports(self) -> dict[str, int]:
        """The ports of the running or last stack, by process."""
        path = self.root / "ports.json"
        return _read(path)

    def assign_ports(self, names: Iterable[str], gateway: int) -> dict[str, int]:
        """A free port for each process, the one it had before where that is free."""
        before = self.ports()
        assigned = {"gateway": gateway}
        for name in names:
            taken = set(assigned.values())
            old = before.get(name)
            reusable = old is not None and old not in taken and is_free(old)
            assigned[name] = old if old is not None and reusable else free_port(taken)
        _write(self.root / "ports.json", assigned, 0o644)
        return assigned


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        known: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise StackError(f"{path} is damaged ({error}): bring it back, or delete {path.parent}") from error
    return known


def _write(path: Path, content: object, mode: int) -> None:
    draft = path.with_name(path.name + ".draft")
    draft.unlink(missing_ok=True)
    draft.touch(mode=mode)
    draft.write_text(json.dumps(content, indent=1))
    draft.rename(path)
