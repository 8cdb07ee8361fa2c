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
DOCS = PROJECT / "docs"
PAGES = ["README.md", *sorted(str(page.relative_to(PROJECT)) for page in DOCS.rglob("*.md"))]


def tasks() -> dict[str, str]:
    """Every public task and its description."""
    program = Path(sysconfig.get_path("scripts")) / "task"
    listed = subprocess.check_output([program, "--dir", PROJECT, "--list-all", "--json"], text=True)
    return {task["name"]: task["desc"] for task in json.loads(listed)["tasks"]}


def test_every_task_says_what_it_does() -> None:
    """The list of tasks is the manual, so each has a sentence in it."""
    assert [name for name, description in tasks().items() if not description and name != "default"] == []


def test_the_tasks_that_pages_name_exist() -> None:
    """Each `./taskw …` in the README and the documentation is a task."""
    named = told(r"\./taskw ([a-z][a-z:]*)")
    assert {"dev", "test", "lint", "release:version"} <= named.keys()
    assert {task: pages for task, pages in named.items() if task not in tasks()} == {}


def test_the_commands_that_pages_name_exist() -> None:
    """Each `millrace …` in the README and the documentation is a command, with the options that it has."""
    named = told(r"(?:^|[`/( ])millrace ((?:[a-z][a-z-]*(?: [a-z][a-z-]*)?)(?: [^`\n#]*)?)")
    assert any(line.startswith("deploy record") for line in named)
    assert {line: pages for line, pages in named.items() if not _runs(line)} == {}


def told(pattern: str) -> dict[str, set[str]]:
    """What a pattern finds, and on which pages."""
    found: dict[str, set[str]] = {}
    for page in PAGES:
        for line in re.findall(pattern, (PROJECT / page).read_text(), re.MULTILINE):
            found.setdefault(line.strip(), set()).add(page)
    return found


def _runs(line: str) -> bool:
    command: click.Command = millrace
    for word in line.split():
        if not isinstance(command, click.Group) or not re.fullmatch(r"[a-z][a-z-]*", word):
            break
        if word not in command.commands:
            return False
        command = command.commands[word]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    given = set(re.findall(r"(?<= )--[a-z][a-z-]*", re.split(r"[|;)]|&&", line)[0]))
    return command is not millrace and given <= known | {"--help"}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Each file that a page links to is there."""
    text = (PROJECT / page).read_text()
    links = re.findall(r"\]\((?![a-z]+:|#)([^)#]+)", text)
    assert [link for link in links if not (PROJECT / page).parent.joinpath(link).exists()] == []


def test_every_page_is_in_the_index() -> None:
    """The index of the documentation has a line for each page and each decision, under its own title."""
    index = (DOCS / "README.md").read_text()
    pages = {page.name for page in DOCS.glob("*.md")} - {"README.md"}
    assert set(re.findall(r"^\| \[[^]]+\]\(([^)]+\.md)\)", index, re.MULTILINE)) == pages
    decisions = [
        f"- [{number}](decisions/{page.name}) {title}"
        for page in sorted((DOCS / "decisions").glob("*.md"))
        for number, title in re.findall(r"^# (\d{4}) (.+)", page.read_text())
    ]
    assert re.findall(r"^- \[\d{4}\].*", index, re.MULTILINE) == decisions


def test_the_map_has_every_folder() -> None:
    """The README's map has a line for each folder of the repository, and none for one that is not there."""
    folders = set(re.findall(r"^\| `([a-z/]+)/` \|", README, re.MULTILINE))
    tracked = subprocess.check_output(["git", "ls-files"], text=True, cwd=PROJECT).split()
    there = {path.split("/")[0] for path in tracked if "/" in path and not path.startswith(".")}
    assert {folder.split("/")[0] for folder in folders} == there
    assert [folder for folder in folders if not (PROJECT / folder).is_dir()] == []


def test_the_life_of_a_request_names_files_that_are_there() -> None:
    """Each file in the README's way of a request exists below one of the folders that the way goes through."""
    way = README.partition("## The life of one request")[2].partition("\n## ")[0]
    rooms = ["", "gateway/", "gateway/limits", "libs/common/", "services/records/", "services/realtime/usecases/"]
    named = re.findall(r"`([a-z_/]+(?:\.py|\.lua|/))`", way)
    assert [name for name in named if not any((PROJECT / room / name).exists() for room in rooms)] == []
    steps = re.findall(r"`([a-z_]+)`", way.partition("`gateway/steps/`")[2].partition("\n2. ")[0])
    assert [step for step in steps if not (PROJECT / "gateway" / "steps" / f"{step}.py").exists()] == []


def test_continuous_integration_runs_what_the_readme_says() -> None:
    """CI runs the README's test command and nothing else before it."""
    assert "exec ./taskw test" in (PROJECT / ".ci/run").read_text()
    assert "run: .ci/run" in (PROJECT / ".github/workflows/test.yml").read_text()
