"""The stack's own archiver: `millrace backup stream`, where BACKUP_ARCHIVE and BACKUP_RECIPIENT are given."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from ops.backup.physical.stream import state_of
from ops.embedded import Process
from ops.stack.home import PROJECT

NAME = "archive"
_LATE_SECONDS = 60.0


@dataclass(frozen=True)
class Archiver:
    """Streams one server's WAL into an archive; `data` is its spool, which may be lost."""

    url: str
    data: Path
    admin_url: str

    def prepare(self) -> None:
        """Make the spool."""
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)

    def process(self) -> Process:
        """The command, with this process's environment."""
        return Process(
            name=NAME,
            argv=(sys.executable, "-c", "from ops.cli import main; main()", "backup", "stream"),
            directory=PROJECT,
            env={"ADMIN_DATABASE_URL": self.admin_url, "BACKUP_ARCHIVE": self.url, "BACKUP_SPOOL": str(self.data)},
            inherit=True,
        )

    def ready(self) -> bool:
        """Whether the archive has had everything lately."""
        state = state_of(self.data)
        return state is not None and time.time() - state.at < _LATE_SECONDS
