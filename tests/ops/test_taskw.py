"""taskw: what it needs, what it says when that is missing, and what it leaves alone."""

import os
import re
import resource
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ops import install
from ops.stack.home import PROJECT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with only what taskw reads."""
    root = tmp_path / "a checkout"
    (root / "ops").mkdir(parents=True)
    for name in ("taskw", "ops/install.py"):
        shutil.copy(PROJECT / name, root / name)
    (root / "requirements.lock").write_text("")
    (root / "pyproject.toml").write_text("")
    return root


def taskw(root: Path, *arguments: str, path: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """Run it with an environment of its own."""
    given = {"PATH": path or "/usr/bin:/bin", **environ}
    return subprocess.run(
        [str(root / "taskw"), *arguments], env=given, capture_output=True, text=True, cwd="/", timeout=90
    )


def program(directory: Path, name: str, script: str) -> Path:
    """An executable shell script."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def tools(directory: Path) -> str:
    """A PATH with what a bare system has, and no Python."""
    directory.mkdir()
    for name in ("sh", "cat", "cksum", "dirname"):
        found = shutil.which(name)
        assert found
        (directory / name).symlink_to(found)
    return str(directory)


def stamp(root: Path) -> str:
    """The checksum that taskw compares."""
    script = f"cat '{root}/requirements.lock' '{root}/pyproject.toml' | cksum"
    return subprocess.check_output(["/bin/sh", "-c", script], text=True).strip()


def test_no_python_is_one_sentence(checkout: Path, tmp_path: Path) -> None:
    """Without any Python the message says which one is needed."""
    done = taskw(checkout, path=tools(tmp_path / "bin"))
    assert done.returncode == 1
    assert done.stderr.startswith("taskw: Python 3.11 or newer is needed and none was found.")
    assert done.stderr.count("\n") == 1


def test_an_old_python_is_named(checkout: Path, tmp_path: Path) -> None:
    """A Python that is too old is not used, and the message names it."""
    path = tools(tmp_path / "bin")
    program(tmp_path / "bin", "python3", "exit 1")
    done = taskw(checkout, path=path)
    assert done.returncode == 1
    assert "only older ones were found: python3." in done.stderr


def test_a_wrong_python_is_refused(checkout: Path) -> None:
    """PYTHON names one that fits, or the message says that it does not."""
    done = taskw(checkout, PYTHON="/bin/false")
    assert (done.returncode, done.stderr) == (1, "taskw: PYTHON=/bin/false is no Python 3.11 or newer.\n")


def test_a_missing_venv_module_is_named(checkout: Path, tmp_path: Path) -> None:
    """Debian's Python without venv is told what to install."""
    without = "import sys; sys.modules['ensurepip'] = None; import runpy; sys.argv = sys.argv[1:]; "
    run = "runpy.run_path(sys.argv[0], run_name='__main__')"
    script = f'[ "$1" = -c ] && exit 0; exec "{sys.executable}" -c "{without}{run}" "$@"'
    path = tools(tmp_path / "bin")
    program(tmp_path / "bin", "python3", script)
    done = taskw(checkout, path=path)
    assert done.returncode == 1
    assert "apt install python3-venv" in done.stderr
    assert not (checkout / ".venv").exists()


def test_a_second_run_installs_nothing(checkout: Path) -> None:
    """With the stamp of the lock in place taskw only hands over, from any directory, for less than a second of CPU."""
    program(checkout / ".venv" / "bin", "task", 'echo "$@"')
    (checkout / ".venv" / "installed").write_text(stamp(checkout) + "\n")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = taskw(checkout, "up", "--", "a b")
    assert done.stdout == f"--dir {checkout} up -- a b\n"
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1


def test_an_unreachable_index_is_one_sentence(checkout: Path) -> None:
    """Without a network the message says so, and no stamp claims that anything was installed."""
    (checkout / "requirements.lock").write_text(f"click==8.0.0 --hash=sha256:{'0' * 64}\n")
    environ = {"PYTHON": sys.executable, "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}
    done = taskw(checkout, PIP_CONFIG_FILE=os.devnull, **environ)
    assert done.returncode == 1
    assert install.NO_NETWORK in done.stderr
    assert not (checkout / ".venv" / "installed").exists()


def test_whoever_waited_for_another_install_does_not_repeat_it(checkout: Path) -> None:
    """Under the lock the stamp is looked at again."""
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "installed").write_text("1 2\n")
    install.main(checkout, "1 2")
    assert list((checkout / ".venv").iterdir()) == [checkout / ".venv" / "installed"]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("OSError: [Errno 28] No space left on device", install.NO_DISK),
        ("NewConnectionError: Failed to establish a new connection: [Errno 111]", install.NO_NETWORK),
        ("ERROR: something else\nbye", "The install failed: ERROR: something else"),
    ],
)
def test_pip_is_translated(said: str, told: str) -> None:
    """What pip says in pages is told in a sentence."""
    assert install.explain(said) == told


def test_the_lock_has_hashes_and_no_address() -> None:
    """The lock file pins every package by hash and says nothing about where to get it."""
    text = (PROJECT / "requirements.lock").read_text()
    packages = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(packages) > 50
    assert "://" not in text
    assert all("==" in package for package in packages)
    assert text.count("--hash=sha256:") >= len(packages)


def test_the_lock_has_everything_that_is_asked_for() -> None:
    """Each dependency of the project is locked; when this fails, run `./taskw lock`."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *(name for group in project["optional-dependencies"].values() for name in group)]
    names = {re.split(r"[^A-Za-z0-9._-]", line)[0].lower().replace("_", "-") for line in asked}
    locked = set(re.findall(r"^([a-z0-9.-]+)==", (PROJECT / "requirements.lock").read_text(), re.MULTILINE))
    assert names - locked == set()
