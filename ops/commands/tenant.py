"""`tenant create`: a tenant with its domain."""

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
