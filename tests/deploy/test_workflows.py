"""What runs on GitHub is valid, pinned, bounded, and calls what there is."""

import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy import version
from deploy.settings import SERVICES

ROOT = Path(__file__).parents[2]
WORKFLOWS = {path.stem: path for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))}
TASKS: dict[str, Any] = yaml.safe_load((ROOT / "Taskfile.yml").read_text())["tasks"]

every_workflow = pytest.mark.parametrize("name", WORKFLOWS)


def workflow(name: str) -> dict[str, Any]:
    """A workflow; `on` is what YAML takes for true."""
    return dict(yaml.safe_load(WORKFLOWS[name].read_text()))


def steps(name: str) -> list[dict[str, Any]]:
    """The steps of all jobs."""
    return [step for job in workflow(name)["jobs"].values() for step in job.get("steps", [])]


@pytest.mark.parametrize(
    ("schema", "paths"),
    [
        ("vendor.github-workflows", sorted(WORKFLOWS.values())),
        ("vendor.dependabot", [ROOT / ".github" / "dependabot.yml"]),
    ],
)
def test_the_files_fit_the_schemas_of_github(schema: str, paths: list[Path]) -> None:
    """Judged by the schemas that come with check-jsonschema, without network."""
    program = Path(sysconfig.get_path("scripts")) / "check-jsonschema"
    done = subprocess.run([program, "--builtin-schema", schema, *paths], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout


@every_workflow
def test_actions_are_pinned_to_a_commit(name: str) -> None:
    """A tag can be moved, a commit cannot; the version stands beside it for people and for dependabot."""
    used = re.findall(r"uses: (\S+)(.*)", WORKFLOWS[name].read_text())
    loose = [action for action, rest in used if not action.startswith("./") and not _pinned(action, rest)]
    assert loose == []


def _pinned(action: str, rest: str) -> bool:
    return bool(re.search(r"@[0-9a-f]{40}$", action) and re.fullmatch(r" # v\d+\.\d+\.\d+", rest))


@every_workflow
def test_jobs_have_an_end_and_few_rights(name: str) -> None:
    """By default a job may only read; what waits, waits for so many minutes; no checkout leaves the token behind."""
    assert workflow(name)["permissions"].items() <= {"contents": "read", "packages": "read"}.items()
    for job in workflow(name)["jobs"].values():
        assert "uses" in job or 0 < job["timeout-minutes"] <= 40
    for step in steps(name):
        if "actions/checkout@" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False


@every_workflow
def test_no_input_is_written_into_a_script(name: str) -> None:
    """What comes from outside reaches a script as a variable, never as a part of it."""
    assert [step for step in steps(name) if "${{" in step.get("run", "")] == []


@every_workflow
def test_called_tasks_and_commands_exist(name: str) -> None:
    """A workflow calls tasks of the Taskfile and modules of this tree."""
    text = "\n".join(step.get("run", "") for step in steps(name))
    assert set(re.findall(r"\./taskw ([a-z][\w:]*)", text)) <= TASKS.keys()
    for module in re.findall(r"python -m ([\w.]+)", text):
        assert (ROOT / module.replace(".", "/")).with_suffix(".py").exists()
    for path in re.findall(r"(?:^|\s)(deploy/[\w/.-]+\w)", text):
        assert (ROOT / path).exists(), path


def test_every_image_is_built() -> None:
    """The five services and the operator's image, each with the arguments that the Dockerfile has."""
    job = workflow("images")["jobs"]["image"]
    assert set(job["strategy"]["matrix"]["service"]) == {*SERVICES, "operations"}
    (build,) = [step for step in job["steps"] if "build-push-action" in step.get("uses", "")]
    given = set(re.findall(r"^(\w+)=", build["with"]["build-args"], re.MULTILINE))
    assert given <= set(re.findall(r"^ARG (\w+)", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE))


def test_nothing_is_released_that_was_not_tested() -> None:
    """Images wait for tests, audit and charts; what is published waits for the images."""
    jobs = workflow("release")["jobs"]
    assert set(jobs["images"]["needs"]) == {"version", "test", "audit", "charts"}
    assert set(jobs["publish"]["needs"]) == {"version", "images"}


def test_every_place_says_the_same_version() -> None:
    """The project, the charts with their dependencies, and the images' default tag."""
    found = version.said()
    assert {path.name for path in found} >= {"pyproject.toml", "Dockerfile", "Chart.yaml", "docker-compose.yml"}
    assert set().union(*found.values()) == {version.current()}
    assert all(found.values())


def test_a_version_is_set_everywhere(tmp_path: Path) -> None:
    """One command changes all of them, and nothing else in the files."""
    for path, _ in version.places():
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    version.change("7.8.9", tmp_path)
    assert set().union(*version.said(tmp_path).values()) == {"7.8.9"}
    for path, _ in version.places():
        changed = (tmp_path / path.relative_to(ROOT)).read_text()
        assert changed.replace("7.8.9", version.current()) == path.read_text()


def test_another_version_is_told() -> None:
    """The release of a tag that the files do not say ends at once."""
    done = subprocess.run([sys.executable, "-m", "deploy.version", "9.9.9"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "deploy/helm/auth/Chart.yaml: 0.1.0" in done.stderr
