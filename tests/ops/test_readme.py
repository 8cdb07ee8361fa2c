"""What the README and the workflows tell people to type exists."""

import json
import re
import subprocess
import sysconfig
from pathlib import Path

import click
import pytest

from ops.cli import millrace
from ops.stack.home import PROJECT

README = (PROJECT / "README.md").read_text()


def tasks() -> dict[str, str]:
    """Every public task and its description."""
    program = Path(sysconfig.get_path("scripts")) / "task"
    listed = subprocess.check_output([program, "--dir", PROJECT, "--list-all", "--json"], text=True)
    return {task["name"]: task["desc"] for task in json.loads(listed)["tasks"]}


def test_every_task_says_what_it_does() -> None:
    """The list of tasks is the manual, so each has a sentence in it."""
    assert [name for name, description in tasks().items() if not description and name != "default"] == []


@pytest.mark.parametrize("task", sorted(set(re.findall(r"\./taskw ([a-z][a-z:]*)", README))))
def test_the_tasks_of_the_readme_exist(task: str) -> None:
    """Each `./taskw …` in the README is a task."""
    assert task in tasks()


@pytest.mark.parametrize("line", sorted(set(re.findall(r"bin/millrace ([a-z]+(?: [a-z]+)?)", README))))
def test_the_commands_of_the_readme_exist(line: str) -> None:
    """Each `millrace …` in the README is a command."""
    command: click.Command = millrace
    for word in line.split():
        assert isinstance(command, click.Group)
        command = command.commands[word]


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\((?!http)([^)#]+)\)", README))))
def test_the_links_of_the_readme_lead_somewhere(path: str) -> None:
    """Each file that the README links to is there."""
    assert (PROJECT / path).exists()


def test_continuous_integration_runs_what_the_readme_says() -> None:
    """CI runs the README's test command and nothing else before it."""
    assert "exec ./taskw test" in (PROJECT / ".ci/run").read_text()
    assert "run: .ci/run" in (PROJECT / ".github/workflows/test.yml").read_text()
