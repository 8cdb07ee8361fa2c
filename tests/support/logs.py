"""What must not stand in logs, and the lines of a platform's logs in which it does."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from ops.stack import Stack
from ops.stack.plan import service_of
from tests.support.platform import PASSWORD

FORBIDDEN = {
    "an access token": re.compile(r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}"),
    "a key": re.compile(r"\bmlr_\w{16,}"),
    "a webhook's secret": re.compile(r"\bwhsec_[\w+/=-]{16,}"),
    "a private key": re.compile(r"PRIVATE KEY"),
    "an email address": re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)*\.[a-z]{2,}", re.IGNORECASE),
    "a secret of a link": re.compile(r"/(shared|forms)/(views/)?[\w-]{20,}"),
    "a key of backups": re.compile(r"AGE-SECRET-KEY"),
    "what PostgreSQL quotes of a row": re.compile(r"Key \(|Failing row contains"),
    "a password of the tests": re.compile(re.escape(PASSWORD)),
    "an address with a password": re.compile(r"\w+://[^/\s:@]*:[^/\s@]+@"),
}


def leaks(line: str, secrets: dict[str, str]) -> Iterator[str]:
    """What of the forbidden is in a line; `secrets` by name must not be in it either."""
    yield from (what for what, pattern in FORBIDDEN.items() if pattern.search(line))
    yield from (f"the secret of {name}" for name, secret in secrets.items() if secret in line)


def faults(stack: Stack, *, killed: bool = False, **more: str) -> list[str]:
    """The lines of the services' logs that tell what they must not, or are no JSON object of their own.

    `more` must not be in them either. One that was `killed` may have been cut off within a line, at whose end the next
    process began its first.
    """
    # The roles of the tests' database have a short word in common, which stands in paths as well.
    secrets = more | {name: secret for name, secret in stack.plan.passwords.items() if len(secret) > 12}
    return [
        f"{service}: {fault}: {line[:300]}"
        for service in stack.plan.services
        for path in stack.home.log.glob(f"{service}.log*")
        for line in Path(path).read_text(errors="replace").splitlines()
        for fault in (*leaks(line, secrets), *(() if killed and line[:1] == "{" else _form(line, service_of(service))))
    ]


def _form(line: str, service: str) -> Iterator[str]:
    try:
        told = json.loads(line)
    except ValueError:
        yield "no JSON"
        return
    if not isinstance(told, dict):
        yield "no object"
    elif told.get("service") != service or not {"event", "level", "timestamp"} <= told.keys():
        yield "not told by whom, what, when"
