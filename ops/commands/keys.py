"""`keys rotate` and `keys reseal`: the keys that sign access tokens, and what secrets at rest are sealed with."""

from typing import Any

import click

from ops.commands.doors import Refused, ask

SEALING = {"auth": "SIGNING_KEY_SECRET", "realtime": "SEALING_SECRET"}


@click.group()
def keys() -> None:
    """Signing keys of access tokens, and what secrets at rest are sealed with."""


@keys.command()
def rotate() -> None:
    """Sign with a new key from now on; tokens signed with the old one hold until they expire."""
    answer = ask("rpc.auth.admin.rotate_keys", {})
    click.echo(f"signing with {answer['kid']}")


@keys.command()
def reseal() -> None:
    """Seal with the first lines of SIGNING_KEY_SECRET and SEALING_SECRET what older lines have sealed.

    Services go on meanwhile, and it may be broken off and begun again. See docs/secrets.md for what is left.
    """
    lost = 0
    for service, variable in SEALING.items():
        resealed, unreadable = _reseal(service, variable)
        lost += unreadable
        click.echo(f"{service}: {resealed} sealed anew, {unreadable} that no line of {variable} opens")
    if lost:
        raise Refused("What cannot be opened was left as it is")


def _reseal(service: str, variable: str) -> tuple[int, int]:
    resealed = unreadable = 0
    question: dict[str, Any] = {}
    marks: set[str] = set()
    while True:
        answer = ask(f"rpc.{service}.admin.reseal", question)
        resealed += answer["resealed"]
        unreadable += answer["unreadable"]
        marks.add(answer["mark"])
        if len(marks) > 1:
            raise Refused(f"Instances of {service} differ in the first line of {variable}; restart all, then again")
        if answer["after"] is None:
            return resealed, unreadable
        question = {"after": answer["after"]}
