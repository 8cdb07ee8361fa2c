"""`tenant create`, `suspend`, `delete` and the like: who is on the platform, and how much they may have."""

import click

from ops.commands.doors import ask
from ops.commands.inputs import LARGEST, Days


@click.group()
def tenant() -> None:
    """Tenants: the organizations on the platform."""


@tenant.command()
@click.argument("name")
@click.argument("domain")
@click.option("--slug", help="Short name in URLs; by default the first part of the domain.")
def create(name: str, domain: str, slug: str | None) -> None:
    """Create the tenant NAME, reached at DOMAIN.

    For example: tenant create "Demo Company" demo.localhost
    """
    answer = ask(
        "rpc.auth.admin.create_tenant",
        {"name": name, "slug": slug or domain.partition(".")[0], "domain": domain},
    )
    click.echo(f"tenant {answer['slug']} {answer['id']}")


@tenant.command()
@click.argument("slug")
def suspend(slug: str) -> None:
    """Let nobody of the tenant SLUG in, from now on; its data stays."""
    _set_status(slug, "suspended")


@tenant.command()
@click.argument("slug")
def resume(slug: str) -> None:
    """Let the people of a suspended tenant in again."""
    _set_status(slug, "active")


@tenant.command()
@click.argument("slug")
@click.option(
    "--grace-days", type=Days(0, 3650), help="Days within which it can be restored; by default those of the setting."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(slug: str, grace_days: float | None, yes: bool) -> None:
    """Delete the tenant SLUG and all that it has, in every service, when the days of grace are over."""
    if not yes:
        click.confirm(f"Delete the tenant {slug} and all its data?", abort=True)
    answer = ask("rpc.auth.admin.delete_tenant", {"tenant": slug, "grace_days": grace_days})
    click.echo(f"tenant {answer['slug']} {answer['id']} is {answer['status']}")


@tenant.command()
@click.argument("slug")
def restore(slug: str) -> None:
    """Keep the tenant SLUG after all, while its days of grace last."""
    answer = ask("rpc.auth.admin.restore_tenant", {"tenant": slug})
    click.echo(f"tenant {answer['slug']} is {answer['status']}")


@tenant.command()
@click.argument("name")
def deletion(name: str) -> None:
    """Tell how far the deletion of the tenant of that slug, or id, is; fails while it is not done."""
    told = ask("rpc.auth.admin.deletion", {"tenant": name})
    for service, counts in sorted(told["reports"].items()):
        click.echo(f"{service}: {sum(counts.values())} rows deleted")
    for service in told["missing"]:
        click.echo(f"{service}: has not reported")
    click.echo(f"tenant {told['slug']} {told['id']}: {told['state']}, due {told['due_at']}")
    if told["state"] != "done":
        raise SystemExit(1)


@tenant.command()
@click.argument("slug")
@click.option("--users", type=click.IntRange(0, LARGEST))
@click.option("--pipelines", type=click.IntRange(0, LARGEST))
@click.option("--records", type=click.IntRange(0, LARGEST))
@click.option("--storage-bytes", type=click.IntRange(0, LARGEST))
@click.option("--requests-per-minute", type=click.IntRange(0, LARGEST))
@click.option("--requests-per-day", type=click.IntRange(0, LARGEST))
def limits(slug: str, **given: int | None) -> None:
    """Set what the plan of the tenant SLUG allows; what is not named is not limited."""
    chosen = {name: value for name, value in given.items() if value is not None}
    answer = ask("rpc.auth.admin.set_limits", {"tenant": slug, "limits": chosen})
    told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in answer.items())
    click.echo(f"tenant {slug}: {told or 'no limits'}")


def _set_status(slug: str, status: str) -> None:
    answer = ask("rpc.auth.admin.set_tenant_status", {"tenant": slug, "status": status})
    click.echo(f"tenant {answer['slug']} is {answer['status']}")
