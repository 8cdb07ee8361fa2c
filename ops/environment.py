"""What the environment gives to a command, directly or as the contents of a file, as it does to services."""

import os
from pathlib import Path

import click


def given(name: str) -> str | None:
    """The variable, or what is in the file that `<name>_FILE` names; none when neither is set."""
    if value := os.environ.get(name):
        return value
    if path := os.environ.get(f"{name}_FILE"):
        try:
            return Path(path).read_text().strip()
        except OSError as error:
            raise click.UsageError(f"{name}_FILE cannot be read: {error}") from error
    return None


def needed(name: str) -> str:
    """The same, where there is no other way."""
    value = given(name)
    if value is None:
        raise click.UsageError(f"set {name}, or {name}_FILE to a file that holds it")
    return value
