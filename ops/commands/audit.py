"""`audit verify`: whether a tenant's audit log is as it was written."""

import click

from ops.commands.doors import Refused, ask


@click.group()
def audit() -> None:
    """Audit logs, whose entries are bound to one another by keyed hashes."""


@audit.command()
@click.argument("tenant")
@click.option("--expect", help="A number and hash noted before, as `12:ab34…`: the log must still contain that entry.")
@click.option("--after", help="A number and hash noted before: only what came after that entry is checked.")
def verify(tenant: str, expect: str | None, after: str | None) -> None:
    """Check every entry of the tenant of that slug; note the last line, to see later that nothing was cut off."""
    begin, _, digest = (after or "0:").partition(":")
    seq, seen = int(begin), expect is None
    while True:
        told = ask("rpc.auth.admin.check_audit", {"tenant": tenant, "seq": seq, "hash": digest, **_until(expect, seq)})
        if told["broken_at"] is not None:
            raise Refused(f"The audit log of {tenant} was tampered with: entry {told['broken_at']} is not as written.")
        seq, digest = told["seq"], told["hash"]
        seen = seen or f"{seq}:{digest}" == expect
        if told["end"]:
            break
    if not seen:
        raise Refused(
            f"The audit log of {tenant} does not contain the entry {expect}: its end was cut off or replaced."
        )
    click.echo(f"{seq - int(begin)} entries are sound\n{seq}:{digest}")


def _until(expect: str | None, seq: int) -> dict[str, int]:
    """Stops a stretch at the entry that is expected."""
    number = int(expect.partition(":")[0]) if expect else 0
    return {"until": number} if number > seq else {}
