"""How many processes a stack has of each service."""

from pathlib import Path

import pytest

from ops.stack.errors import StackError
from ops.stack.home import Home
from ops.stack.plan import ALL, further, make_plan


def test_one_of_each_is_the_default(tmp_path: Path) -> None:
    """Without `PROCESSES` there is one process of each service."""
    plan = make_plan(_home(tmp_path), {"PORT": "8123"}, ALL, assign=True)
    assert plan.services == ALL


def test_further_processes_are_behind_the_gateway(tmp_path: Path) -> None:
    """Each has a port and a socket of its own, the role of its service, and a place in the gateway's list."""
    home = _home(tmp_path)
    plan = make_plan(home, {"PORT": "8123", "PROCESSES": "records:3, auth:2"}, ALL, assign=True)
    processes = plan.processes()
    assert set(plan.services) == {*ALL, "records-2", "records-3", "auth-2"}
    assert processes["records-3"].argv[-1] == "services.records.main"
    assert processes["records-3"].env["DATABASE_URL"] == processes["records"].env["DATABASE_URL"]
    assert len({processes[name].env["PORT"] for name in plan.services}) == len(plan.services)
    urls = [f"unix://{home.socket(name)}" for name in ("records", "records-2", "records-3")]
    assert processes["gateway"].env["RECORDS_URL"] == ",".join(urls)
    assert make_plan(home, {}, ALL, assign=False).services == plan.services


@pytest.mark.parametrize("text", ["records", "records:0", "records:17", "nobody:2", "gateway:2", "records:x"])
def test_what_cannot_be_is_refused(text: str) -> None:
    """A service that is none, and a number that is none or too large, are errors that name the variable."""
    with pytest.raises(StackError, match="PROCESSES"):
        further(text)


def _home(root: Path) -> Home:
    home = Home(root)
    home.make()
    return home
