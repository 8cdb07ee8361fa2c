"""`STACK=compose`: what is asked of Docker, by a `docker` that writes down its arguments and answers as told."""

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from ops.stack import Stack, StackError, choice
from ops.stack.compose import FOLDER, ComposeStack, images, profiles
from ops.stack.home import Home

DOCKER = """#!{python}
import json, pathlib, sys
here = pathlib.Path({here!r})
with (here / "asked").open("a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
for start, answer in json.loads((here / "answers").read_text()).items():
    if " ".join(sys.argv[1:]).startswith(start):
        print(answer if isinstance(answer, str) else json.dumps(answer))
        sys.exit(answer is None)
"""


class Docker:
    """The program, what it answers to arguments that begin so (nothing is a failure), and what it was asked."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        program = directory / "docker"
        program.write_text(DOCKER.format(python=sys.executable, here=str(directory)))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self.answers: dict[str, Any] = {}
        self.tell()

    def tell(self, **answers: Any) -> None:
        """Answers from now on; `image_inspect` is what begins with `image inspect`."""
        self.answers |= {name.replace("_", " "): answer for name, answer in answers.items()}
        (self._directory / "answers").write_text(json.dumps(self.answers))

    @property
    def asked(self) -> list[list[str]]:
        """The arguments of every call."""
        path = self._directory / "asked"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def compose(self) -> list[list[str]]:
        """What Compose was asked for, after its options."""
        return [call[5:] for call in self.asked if call[:2] == ["compose", "--project-directory"]]


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    """A `docker` of this test's own."""
    (tmp_path / "bin").mkdir()
    return Docker(tmp_path / "bin")


@pytest.fixture
def environ(tmp_path: Path, docker: Docker) -> dict[str, str]:
    """An environment in which it is the first `docker`."""
    return {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "MILLRACE_HOME": str(tmp_path / "home")}


@pytest.fixture
def compose(tmp_path: Path, environ: dict[str, str]) -> ComposeStack:
    """The stack of a copy of the compose folder."""
    folder = tmp_path / "compose"
    folder.mkdir()
    for name in ("prepare", ".env.example", "docker-compose.yml"):
        (folder / name).write_bytes((FOLDER / name).read_bytes())
    return ComposeStack(Home.of(environ), environ, folder)


def container(service: str, status: str = "running", health: str = "healthy", code: int = 0) -> dict[str, Any]:
    """A container as the engine tells of it."""
    return {
        "Config": {"Labels": {"com.docker.compose.service": service}},
        "State": {"Status": status, "ExitCode": code, "Pid": 7, "Health": {"Status": health}},
        "NetworkSettings": {"Ports": {"8443/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8443"}], "80/tcp": None}},
    }


def test_a_start_prepares_and_waits_until_all_is_ready(docker: Docker, compose: ComposeStack) -> None:
    """Secrets are made, Compose starts what does not run, and the one-shot has to have succeeded."""
    containers = [container("edge"), container("migrate", "exited", "none")]
    docker.tell(compose_version="v2", image_inspect="sha256:1", compose="a b", inspect=containers)
    compose.up()
    assert (compose.folder / "secrets" / "signing_key_secret").exists()
    assert docker.compose()[0] == ["up", "--detach", "--remove-orphans"]
    assert [condition.ready for condition in compose.status()] == [True, True]
    assert compose.status()[0].port == 8443
    assert compose.address == "https://localhost:8443"
    place = ["--project-directory", str(compose.folder), "--file", str(compose.folder / "docker-compose.yml")]
    assert docker.asked[-1][:1] == ["inspect"]
    assert compose.follow(("auth",)) == ["docker", "compose", *place, "logs", "--follow", "--tail", "20", "auth"]


@pytest.mark.parametrize(
    ("given", "ready"),
    [
        (container("auth", health="starting"), False),
        (container("auth", "restarting"), False),
        (container("migrate", "exited", "none", code=1), False),
        (container("redis"), True),
    ],
)
def test_a_container_is_ready_when_it_says_so(
    docker: Docker, compose: ComposeStack, given: dict[str, Any], ready: bool
) -> None:
    """A running process is not enough where there is a health check, and a failed one-shot is none that is done."""
    docker.tell(compose_version="v2", compose="a", inspect=[given])
    assert [condition.ready for condition in compose.status()] == [ready]


def test_an_end_keeps_the_data_and_a_reset_does_not(docker: Docker, compose: ComposeStack) -> None:
    """Only a reset asks for the volumes to be removed."""
    docker.tell(compose_version="v2", compose="")
    compose.home.make()
    compose.demo_loaded.touch()
    compose.down()
    assert compose.demo_loaded.exists()
    compose.reset()
    assert docker.compose() == [["down", "--remove-orphans"], ["down", "--remove-orphans", "--volumes"]]
    assert not compose.demo_loaded.exists()


def test_what_is_missing_is_said(docker: Docker, compose: ComposeStack) -> None:
    """Images that nobody has built, and a Compose that fails, are sentences."""
    docker.tell(compose_version="v2", image_inspect=None)
    with pytest.raises(StackError, match="taskw images"):
        compose.up()
    docker.tell(image_inspect="sha256:1", compose=None)
    with pytest.raises(StackError, match="did not up"):
        compose.up()


def test_the_first_start_takes_compose_only_where_nothing_is_to_be_fetched(
    docker: Docker, environ: dict[str, str]
) -> None:
    """No engine, an engine without the images, servers of one's own or data of the embedded stack: embedded."""
    docker.tell(version=None)
    assert isinstance(choice.stack(environ), Stack)
    docker.tell(version="28", image_inspect=None)
    assert isinstance(choice.stack(environ, starting=True), Stack)
    choice.forget(environ)
    docker.tell(image_inspect="sha256:1")
    assert isinstance(choice.stack({**environ, "NATS_URL": "nats://n"}, starting=True), Stack)
    choice.forget(environ)
    assert isinstance(choice.stack(environ), Stack)
    extras = {**environ, "COMPOSE_PROFILES": "extras"}
    assert isinstance(choice.stack(extras, starting=True), ComposeStack)
    asked = {image.partition(":")[0] for image in docker.asked[-1][4:]}
    assert {"postgres", "axllent/mailpit", "chrislusf/seaweedfs"} < asked
    assert asked.isdisjoint({"prom/prometheus", "grafana/grafana"})


def test_the_choice_is_kept_until_a_reset(docker: Docker, environ: dict[str, str]) -> None:
    """Whatever the engine says later, the stack is where its data is; `STACK` goes first."""
    docker.tell(version="28", image_inspect="sha256:1")
    assert isinstance(choice.stack(environ, starting=True), ComposeStack)
    docker.tell(version=None)
    assert isinstance(choice.stack(environ), ComposeStack)
    assert isinstance(choice.stack({**environ, "STACK": "embedded"}), Stack)
    choice.forget(environ)
    (Home.of(environ).data / "postgres").mkdir(parents=True)
    docker.tell(version="28")
    assert isinstance(choice.stack(environ, starting=True), Stack)


def test_the_images_are_those_of_the_file(compose: ComposeStack) -> None:
    """What a profile adds is asked for where it is switched on, as `extras` is unless told otherwise."""
    assert profiles({}, compose.folder) == {"extras"}
    assert profiles({"COMPOSE_PROFILES": ""}, compose.folder) == frozenset()
    always = {"caddy", "nats", "postgres", "redis", *images_of_ours()}
    assert {image.partition(":")[0] for image in images(ours=False)} == always
    extras = images(ours=False, profiles=profiles({"COMPOSE_PROFILES": "archive,extras"}))
    assert {image.partition(":")[0] for image in extras} == always | {"axllent/mailpit", "chrislusf/seaweedfs"}


def images_of_ours() -> set[str]:
    """The names of the platform's own images."""
    return {image.partition(":")[0] for image in images(ours=True)}


def test_an_unknown_kind_is_refused(environ: dict[str, str]) -> None:
    """The error names those that there are."""
    with pytest.raises(StackError, match="STACK=embedded or STACK=compose"):
        choice.stack({**environ, "STACK": "podman"})
