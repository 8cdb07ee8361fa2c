"""`python -m ops.schema`: writes each service's `migrations/schema.sql`, what its migrations add up to, for reading."""

import asyncio
import re
import subprocess
from pathlib import Path

from libs.common import migrate
from ops.embedded import Postgres, running
from ops.embedded.postgres import FORGETFUL, PROGRAMS

ROOT = Path(__file__).parents[1]
PASSWORD = "schema"  # noqa: S105 – of a server that lives for seconds
HEADER = "-- What the migrations add up to, for reading. Written by `task schema`, checked by a test.\n\n"

_NOISE = re.compile(r"^(--.*|SET .*|SELECT pg_catalog\.set_config.*|\\.*)\n", re.MULTILINE)


def path(service: str) -> Path:
    """Where a service's schema is written."""
    return ROOT / "services" / service / "migrations" / "schema.sql"


def dump(dsn: str, service: str) -> str:
    """The schema of one service as SQL, without what changes from run to run."""
    command = [str(PROGRAMS / "pg_dump"), "--schema-only", "--no-owner", "--schema", service, "--dbname", dsn]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return HEADER + re.sub(r"\n{3,}", "\n\n", _NOISE.sub("", text)).strip() + "\n"


async def _migrate(server: Postgres) -> None:
    await migrate.bootstrap(server.url, dict.fromkeys(("migrate", *migrate.SERVICES), PASSWORD))
    for service in migrate.SERVICES:
        await migrate.up(server.dsn("millrace_migrate", PASSWORD, "postgres"), service, path(service).parent)


def main() -> None:
    """Migrates a throw-away server and writes what came out."""
    with running(lambda data, port: Postgres(data, port, PASSWORD, FORGETFUL)) as server:
        asyncio.run(_migrate(server))
        for service in migrate.SERVICES:
            path(service).write_text(dump(server.url, service))


if __name__ == "__main__":
    main()
