"""`keys rotate`: the keys that sign access tokens."""

import click

from ops.commands.doors import ask


@click.group()
def keys() -> None:
    """Signing keys of access tokens."""


@keys.command()
def rotate() -> None:
    """Sign with a new key from now on; tokens signed with the old one hold until they expire."""
    answer = ask("rpc.auth.admin.rotate_keys", {})
    click.echo(f"signing with {answer['kid']}")
