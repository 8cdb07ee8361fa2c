"""What a package says of itself in its first lines is so."""

import ast
import re
from pathlib import Path

import pytest

from gateway.route_table import SERVICES

ROOT = Path(__file__).parents[2]


def contents(package: str) -> str:
    """The docstring of a package."""
    return ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text())) or ""


def sources(service: str) -> str:
    """All Python of a service."""
    return "\n".join(path.read_text() for path in sorted((ROOT / "services" / service).rglob("*.py")))


def test_the_list_of_common_mechanisms_is_closed() -> None:
    """Each module of `libs.common` is in its table of contents, and nothing else is."""
    listed = re.findall(r"^([a-z_· ]+?) {2,}", contents("libs/common"), re.MULTILINE)
    modules = {path.stem for path in (ROOT / "libs/common").iterdir() if path.stem != "__init__"} - {"__pycache__"}
    assert {name for line in listed for name in line.split(" · ")} == modules


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_lists_what_it_answers(service: str) -> None:
    """The table of contents of a service has each first path that its routes have, and each question over NATS."""
    answers = contents(f"services/{service}").partition("\nanswers")[2].partition("\nemits")[0]
    routed = re.findall(
        r'(?:path = |^@[a-z]+\(\s*\[?)"/([^/"]+)(?:/\{[^/]+\}/([a-z-]+))?', sources(service), re.MULTILINE
    )
    assert {own or first for first, own in routed} - set(re.findall(r"[a-z.-]+", answers)) == set()
    served = set(re.findall(r'bus\.serve\(\s*"(rpc\.[a-z_.]+)"', sources(service)))
    if "persons.serve(" in sources(service):
        served.add(f"rpc.{service}.person")
    assert [asked for asked in served if asked not in answers and f"{asked.rpartition('.')[0]}.*" not in answers] == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_lists_what_it_listens_to(service: str) -> None:
    """The table of contents of a service has each kind of event that it subscribes to."""
    listens = contents(f"services/{service}").partition("\nlistens")[2]
    heard = set(re.findall(r'"evt\.\*\.([a-z_*]+(?:\.[a-z_*]+)?)[.>]', sources(service)))
    assert [entity for entity in heard if entity not in listens] == []
