"""What must not stand in logs, and the lines of a platform's logs in which it does."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from ops.stack import Stack
from ops.stack.plan import ALL
from tests.support.platform import PASSWORD

FORBIDDEN = {
    "an access token": re.compile(r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}"),
    "a key": re.compile(r"\bmlr_\w{16,}"),
    "a webhook's secret": re.compile(r"\bwhsec_[\w+/=-]{16,}"),
    "a private key": re.compile(r"PRIVATE KEY"),
    "an email address": re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)*\.[a-z]{2,}", re.IGNORECASE),
    "a password of the tests": re.compile(re.escape(PASSWORD)),
    "an address with a password": re.compile(r"\w+://[^/\s:@]*:[^/\s@]+@"),
}


def leaks(line: str, secrets: dict[str, str]) -> Iterator[str]:
    """What of the forbidden is in a line; `secrets` by name must not be in it either."""
    yield from (what for what, pattern in FORBIDDEN.items() if pattern.search(line))
    yield from (f"the secret of {name}" for name, secret in secrets.items() if secret in line)


def faults(stack: Stack) -> list[str]:
    """The lines of the services' logs that tell what they must not, or are no JSON object."""
    # The roles of the tests' database have a short word in common, which stands in paths as well.
    secrets = {name: secret for name, secret in stack.plan.passwords.items() if len(secret) > 12}
    return [
        f"{service}: {fault}: {line[:300]}"
        for service in ALL
        for path in stack.home.log.glob(f"{service}.log*")
        for line in Path(path).read_text(errors="replace").splitlines()
        for fault in (*leaks(line, secrets), *_form(line))
    ]


def _form(line: str) -> Iterator[str]:
    try:
        if not isinstance(json.loads(line), dict):
            yield "no object"
    except ValueError:
        yield "no JSON"
