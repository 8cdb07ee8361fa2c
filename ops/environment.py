"""What the environment gives to a command, directly or as the contents of a file, as it does to services."""

import os
from pathlib import Path

import click

from ops import addresses


def given(name: str) -> str | None:
    """The variable, or what is in the file that `<name>_FILE` names; none when neither is set."""
    value = os.environ.get(name) or _read(name)
    if value and (fault := addresses.fault(name, value)):
        raise click.UsageError(fault)
    return value


def needed(name: str) -> str:
    """The same, where there is no other way."""
    value = given(name)
    if value is None:
        raise click.UsageError(f"set {name}, or {name}_FILE to a file that holds it")
    return value


def _read(name: str) -> str | None:
    path = os.environ.get(f"{name}_FILE")
    if not path:
        return None
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{name}_FILE cannot be read: {error}") from error
