"""`user create`: a person in a tenant."""

import secrets

import click

from ops.commands.doors import ask


@click.group()
def user() -> None:
    """Users of a tenant."""


@user.command()
@click.option("--tenant", required=True, help="Slug of the tenant.")
@click.option("--email", required=True)
@click.option("--name", help="By default what stands before the @ of the address.")
@click.option("--role", default="member", show_default=True, help="owner, admin, manager, member, viewer or your own.")
@click.option("--password", envvar="MILLRACE_PASSWORD", help="By default one is made up and printed.")
def create(tenant: str, email: str, name: str | None, role: str, password: str | None) -> None:
    """Create a user with a role."""
    given = password or secrets.token_urlsafe(15)
    question = {"tenant": tenant, "email": email, "name": name or email.partition("@")[0], "role": role}
    answer = ask("rpc.auth.admin.create_user", question | {"password": given})
    click.echo(f"user {email} {answer['id']}")
    if password is None:
        click.echo(f"password {given}")
