"""`tenant create`, `suspend` and `resume`: who is on the platform."""

import click

from ops.commands.doors import ask


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


def _set_status(slug: str, status: str) -> None:
    answer = ask("rpc.auth.admin.set_tenant_status", {"tenant": slug, "status": status})
    click.echo(f"tenant {answer['slug']} is {answer['status']}")
