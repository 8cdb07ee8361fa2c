"""The `millrace` command: the stack on this machine, and what operators do with a running platform."""

import sys

import asyncpg
import click
from asyncpg.exceptions import ClientConfigurationError

from ops.backup import BackupFailed
from ops.commands import audit, backup, bootstrap, deploy, doctor, keys, migrate, openapi, outbox, stack, tenant, user
from ops.commands.doors import Refused
from ops.embedded.process import ServerFailed
from ops.lines import as_told
from ops.stack import StackError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def millrace() -> None:
    """Millrace: a multi-tenant CRM backend with schemas its users define."""


NOUNS = (
    *(tenant.tenant, user.user, keys.keys, audit.audit, outbox.outbox, openapi.openapi, doctor.doctor),
    *(bootstrap.bootstrap, migrate.migrate, backup.backup, backup.restore, deploy.deploy),
)

for command in (*stack.COMMANDS, *NOUNS):
    millrace.add_command(command)

# A folder that is none, a server that is away or refuses, an address with an option that is none.
_ELSEWHERE = (OSError, asyncpg.PostgresError, ClientConfigurationError)


def main() -> None:
    """Run a command; what its user can mend is a sentence, not a traceback."""
    with as_told():
        try:
            millrace()
        except (StackError, ServerFailed, Refused, BackupFailed, *_ELSEWHERE) as error:
            click.secho(str(error) or type(error).__name__, fg="red", err=True)
            sys.exit(1)
