"""`audit verify`: whether a tenant's audit log is as it was written."""

import click

from ops.commands.doors import Refused, ask
from ops.commands.inputs import Mark


@click.group()
def audit() -> None:
    """Audit logs, whose entries are bound to one another by keyed hashes."""


@audit.command()
@click.argument("tenant")
@click.option(
    "--expect",
    type=Mark(),
    help="A number and hash noted before, as `12:ab34…`: the log must still contain that entry.",
)
@click.option(
    "--after", type=Mark(), help="A number and hash noted before: only what came after that entry is checked."
)
def verify(tenant: str, expect: tuple[int, str] | None, after: tuple[int, str] | None) -> None:
    """Check every entry of the tenant of that slug; note the last line, to see later that nothing was cut off."""
    begin, digest = after or (0, "")
    seq, seen = begin, expect is None
    while True:
        told = ask("rpc.auth.admin.check_audit", {"tenant": tenant, "seq": seq, "hash": digest, **_until(expect, seq)})
        if (broken := told["broken_at"]) is not None:
            raise Refused(f"The audit log of {tenant} was tampered with: {_broken(broken, after)}.")
        seq, digest = told["seq"], told["hash"]
        seen = seen or (seq, digest) == expect
        if told["end"]:
            break
    if not seen:
        entry = f"{expect[0]}:{expect[1]}" if expect else ""
        raise Refused(f"The audit log of {tenant} does not contain the entry {entry}: its end was cut off or replaced.")
    click.echo(f"{seq - begin} entries are sound\n{seq}:{digest}")


def _broken(entry: int, after: tuple[int, str] | None) -> str:
    """What is wrong at an entry; right after the one that was noted it may be that one which is not there."""
    changed = f"entry {entry} is not as written"
    return f"{changed}, or entry {after[0]} is not {after[1]}" if after and entry == after[0] + 1 else changed


def _until(expect: tuple[int, str] | None, seq: int) -> dict[str, int]:
    """Stops a stretch at the entry that is expected."""
    return {"until": expect[0]} if expect and expect[0] > seq else {}
