"""`python -m ops.migrations`: refuses migrations that old code or a busy table would not bear.

squawk judges each way up: dropped and renamed tables and columns, changed types, `not null` and constraints without
validation apart, volatile defaults, indexes that block writers. The runner's timeouts count as set. What contracts the
schema after no running release needs it any more says so above its way up, with the release and the reason:

    -- accept: ban-drop-column in 0.3.0: nothing since 0.2.0 reads it
"""

import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from libs.common import migrate
from ops.schema import ROOT

POSTGRES = "18.0"
# The runner sets both timeouts; how wide a number is, is a matter of its column.
_EXCLUDED = (
    *("require-lock-timeout", "require-statement-timeout"),
    *("prefer-bigint-over-int", "prefer-bigint-over-smallint", "prefer-robust-stmts", "prefer-identity"),
)
_ACCEPTED = re.compile(r"^-- accept: ([a-z-]+) in (\d+\.\d+\.\d+): (.+)$", re.MULTILINE)


class Found(msgspec.Struct):
    """What squawk has found in one statement."""

    line: int
    rule_name: str
    message: str


@dataclass(frozen=True)
class Fault:
    """One thing that a migration may not do, or excuses without doing it."""

    path: Path
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.path.parents[1].name}/{self.path.name}: {self.rule}: {self.message}"


def faults(service: str, path: Path) -> list[Fault]:
    """Everything wrong with one migration of a service."""
    accepted = {rule for rule, _, _ in _ACCEPTED.findall(path.read_text().partition("-- migrate: up")[0])}
    found = {fault.rule_name: fault.message for fault in _squawk(service, path)}
    faults = [Fault(path, rule, message) for rule, message in found.items() if rule not in accepted]
    return faults + [Fault(path, rule, "is accepted and does not occur") for rule in accepted - found.keys()]


def all_faults() -> Iterator[Fault]:
    """Those of every service."""
    for service in migrate.SERVICES:
        for path in sorted((ROOT / "services" / service / "migrations").glob("[0-9]*.sql")):
            yield from faults(service, path)


def _squawk(service: str, path: Path) -> list[Found]:
    migration = migrate.parse(service, path)
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(migration.up)
        file.flush()
        squawk = Path(sysconfig.get_path("scripts")) / "squawk"
        options = ["--pg-version", POSTGRES, "--reporter", "json", *(f"--exclude={rule}" for rule in _EXCLUDED)]
        within = [] if migration.alone else ["--assume-in-transaction"]
        told = subprocess.run([squawk, *options, *within, file.name], capture_output=True, text=True, timeout=30)
    if told.stderr and not told.stdout:
        raise RuntimeError(told.stderr)
    return msgspec.json.decode(told.stdout or "[]", type=list[Found])


def main() -> None:
    """Tells every fault and fails where there is one."""
    found = list(all_faults())
    for fault in found:
        print(fault)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
