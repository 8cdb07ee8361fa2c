"""`openapi`: the merged document of the running platform, as a file."""

import json
from pathlib import Path

import click

from ops.commands.doors import Refused, this_plan
from ops.stack import readiness


@click.command()
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
def openapi(path: Path) -> None:
    """Write the gateway's OpenAPI document to PATH, its keys sorted, so that differences are readable."""
    status, body = readiness.ask(this_plan().ports["gateway"], "/openapi.json", timeout=30)
    if status != 200:
        raise Refused(f"The gateway gives no document ({status}). Is the platform up? ./taskw status")
    path.write_text(json.dumps(json.loads(body), indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    click.echo(f"wrote {path}")
