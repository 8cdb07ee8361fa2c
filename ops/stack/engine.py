"""A Docker engine, where there is one: which images it has, how its containers are, and Compose's own command."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

from ops.stack.errors import StackError

_ANSWER_SECONDS = 10.0


def answers(environ: Mapping[str, str]) -> bool:
    """Whether an engine answers here."""
    return shutil.which("docker", path=environ.get("PATH")) is not None and _said(environ, "version") is not None


def has_images(environ: Mapping[str, str], names: list[str]) -> bool:
    """Whether all these images are here already, so that nothing has to be pulled or built."""
    return _said(environ, "image", "inspect", "--format", "{{.Id}}", *names) is not None


def inspect(environ: Mapping[str, str], containers: list[str]) -> list[dict[str, Any]]:
    """What the engine knows of containers."""
    found: list[dict[str, Any]] = json.loads(_said(environ, "inspect", *containers) or "[]") if containers else []
    return found


def compose(environ: Mapping[str, str]) -> list[str]:
    """The command of Compose: the engine's plugin, or the program of its first version."""
    if _said(environ, "compose", "version") is not None:
        return ["docker", "compose"]
    if shutil.which("docker-compose", path=environ.get("PATH")):
        return ["docker-compose"]
    raise StackError("STACK=compose needs Docker Compose: install its plugin, or run STACK=embedded ./taskw up")


def _said(environ: Mapping[str, str], *arguments: str) -> str | None:
    """What `docker` says, or nothing where it fails."""
    command, given = ["docker", *arguments], {**os.environ, **environ}
    try:
        done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=_ANSWER_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
