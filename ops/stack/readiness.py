"""Whether services are ready, asked of each by HTTP on its own port."""

import json
import time
from collections.abc import Callable, Mapping
from http.client import HTTPConnection, HTTPException

from ops.embedded.ports import LOOPBACK

_STEP = 0.08


def ready(port: int) -> bool:
    """Whether the service on this port says that it is ready."""
    return ask(port)[0] == 200


def ask(port: int, path: str = "/health/ready", timeout: float = 5.0) -> tuple[int, str]:
    """Status and body of a health route; 0 and the reason when nobody answers."""
    connection = HTTPConnection(LOOPBACK, port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")
    except (OSError, HTTPException) as error:
        return 0, str(error) or type(error).__name__
    finally:
        connection.close()


def failing(body: str) -> str:
    """The failed checks in a health answer, in a line; the answer itself when it is none."""
    try:
        checks = json.loads(body)["checks"]
        bad = {name: check.get("detail") for name, check in checks.items() if check["status"] != "ok"}
    except (ValueError, TypeError, KeyError, AttributeError):
        return body.strip()[:200]
    return ", ".join(f"{name}: {detail}" for name, detail in bad.items())


def wait_all(checks: Mapping[str, Callable[[], bool]], seconds: float) -> list[str]:
    """Wait until every check holds; returns the names of those that do not in time."""
    deadline = time.monotonic() + seconds
    pending = dict(checks)
    while pending and time.monotonic() < deadline:
        pending = {name: check for name, check in pending.items() if not check()}
        if pending:
            time.sleep(_STEP)
    return sorted(pending)
