"""The platform in containers, by `deploy/compose`, started and looked at as the embedded stack is."""

import os
import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ops.stack import engine
from ops.stack.errors import StackError
from ops.stack.home import PROJECT, Home
from ops.stack.launcher import Condition

FOLDER = PROJECT / "deploy" / "compose"
_READY_SECONDS = 180.0
_STEP = 1.0
_AUTHORITY = "/data/caddy/pki/authorities/local/root.crt"
ONE_SHOT = "migrate"


@dataclass(frozen=True)
class ComposeStack:
    """The containers of one compose file; `home` keeps only what this machine knows of them."""

    home: Home
    environ: Mapping[str, str]
    folder: Path = FOLDER

    @property
    def address(self) -> str:
        """Where clients come in."""
        return f"https://localhost:{self._setting('HTTPS_PORT', '8443')}"

    @property
    def demo_loaded(self) -> Path:
        """Exists once the demo is in the containers' data."""
        return self.home.root / "compose.demo.loaded"

    @property
    def client_environ(self) -> dict[str, str]:
        """What a client of `address` is told: whose certificates to believe."""
        authority = self.home.root / "authority.crt"
        if self._setting("TLS", "internal") == "internal":
            authority.write_text(self._compose("exec", "-T", "edge", "cat", _AUTHORITY, capture=True))
            return {"GATEWAY_URL": self.address, "SSL_CERT_FILE": str(authority)}
        return {"GATEWAY_URL": self.address}

    def up(self, *, tied: bool = False) -> None:
        """Start what does not run and return when all is ready; containers outlive this process, also `tied`."""
        self.home.make()
        subprocess.run(["sh", str(self.folder / "prepare")], check=True, stdout=subprocess.DEVNULL)
        if not engine.has_images(self._environ, images(self.folder, ours=True)):
            raise StackError("The platform's images are not built: ./taskw images")
        self._compose("up", "--detach", "--remove-orphans")
        self._wait()

    def down(self) -> None:
        """Stop and remove the containers; the volumes stay."""
        self._compose("down", "--remove-orphans")

    def reset(self) -> None:
        """Stop, and forget all data; .env and the secrets stay."""
        self._compose("down", "--remove-orphans", "--volumes")
        self.demo_loaded.unlink(missing_ok=True)

    def status(self) -> list[Condition]:
        """The condition of each container; empty when there is none."""
        ids = self._compose("ps", "--all", "--quiet", capture=True).split()
        return [_condition(found) for found in engine.inspect(self._environ, ids)]

    def follow(self, names: tuple[str, ...]) -> list[str]:
        """The command that follows the logs."""
        return [*self._command, "logs", "--follow", "--tail", "20", *names]

    @cached_property
    def _environ(self) -> dict[str, str]:
        return {**os.environ, **self.environ}

    @cached_property
    def _command(self) -> list[str]:
        place = ["--project-directory", str(self.folder), "--file", str(self.folder / "docker-compose.yml")]
        return [*engine.compose(self._environ), *place]

    def _compose(self, *arguments: str, capture: bool = False) -> str:
        done = subprocess.run(
            [*self._command, *arguments], env=self._environ, text=True, stdout=subprocess.PIPE if capture else None
        )
        if done.returncode:
            raise StackError(f"Compose did not {arguments[0]}; what is above says why. Its logs: ./taskw logs")
        return done.stdout or ""

    def _wait(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while waiting := [condition for condition in self.status() if not condition.ready]:
            if time.monotonic() > deadline:
                told = ", ".join(f"{condition.name} is {condition.state}" for condition in waiting)
                raise StackError(f"Not ready after {_READY_SECONDS:.0f} s: {told}")
            time.sleep(_STEP)

    def _setting(self, name: str, default: str) -> str:
        return self.environ.get(name, _said(self.folder, name, default))


def images(folder: Path = FOLDER, *, ours: bool, profiles: frozenset[str] = frozenset()) -> list[str]:
    """The images that the compose file names outside its profiles and in these: the platform's own, or all."""
    always, *parts = re.split(r"# ── profile `(\w+)`", (folder / "docker-compose.yml").read_text())
    chosen = [part for name, part in zip(parts[::2], parts[1::2], strict=True) if name in profiles]
    named = re.findall(r"^ +image: (.+)$", "\n".join([always, *chosen]), re.MULTILINE)
    plain = {re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", image) for image in named}
    return sorted(image for image in plain if "millrace/" in image or not ours)


def profiles(environ: Mapping[str, str], folder: Path = FOLDER) -> frozenset[str]:
    """The profiles that are switched on, which before the first start are those of the example."""
    given = environ.get("COMPOSE_PROFILES", _said(folder, "COMPOSE_PROFILES", ""))
    return frozenset(given.split(",")) - {""}


def _said(folder: Path, name: str, default: str) -> str:
    """A variable of `.env`, or of the example that `.env` will be made of."""
    files = [folder / ".env", folder / ".env.example"]
    text = next((file.read_text() for file in files if file.exists()), "")
    given = re.search(rf"^{name}=(.*)$", text, re.MULTILINE)
    return given[1].strip() if given else default


def _condition(found: dict[str, Any]) -> Condition:
    name = found["Config"]["Labels"]["com.docker.compose.service"]
    state = found["State"]
    healthy = state.get("Health", {}).get("Status", "healthy") == "healthy"
    done = name == ONE_SHOT and state["Status"] == "exited" and state["ExitCode"] == 0
    ports = [entry for entries in (found["NetworkSettings"]["Ports"] or {}).values() for entry in entries or ()]
    return Condition(
        name=name,
        state=state["Status"],
        pid=state["Pid"],
        port=max((int(entry["HostPort"]) for entry in ports), default=0),
        ready=done or (state["Status"] == "running" and healthy),
    )
