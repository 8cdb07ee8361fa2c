"""The compose file is whole and obeys the rules of the platform."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.settings import PLACED, SERVICES, settings, struct
from libs.common.settings import load
from ops.cli import millrace
from tests.deploy.quantities import cpu, memory

COMPOSE = Path(__file__).parents[2] / "deploy" / "compose"
TEXT = (COMPOSE / "docker-compose.yml").read_text()
FILE: dict[str, Any] = yaml.safe_load(TEXT)
CONTAINERS: dict[str, dict[str, Any]] = FILE["services"]
# The machine that the file's head states, less what the system itself needs.
CORES, MEMORY = 8.0, 7.5 * 1024**3
ONE_SHOT = {"migrate"}
CAPABILITIES = {"edge": ["NET_BIND_SERVICE"], "shipper": ["DAC_READ_SEARCH"]}
WATCHERS = {name for name, container in CONTAINERS.items() if container.get("profiles") == ["observability"]}

every_container = pytest.mark.parametrize("name", sorted(CONTAINERS))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which `prepare` has run."""
    directory = tmp_path_factory.mktemp("compose")
    for name in ("prepare", ".env.example", "docker-compose.yml"):
        (directory / name).write_bytes((COMPOSE / name).read_bytes())
    subprocess.run(["sh", "prepare"], cwd=directory, check=True, capture_output=True, timeout=240)
    return directory


@every_container
def test_every_container_is_bounded(name: str) -> None:
    """Memory, CPU, processes and logs have a limit, and together they fit the stated machine."""
    container = CONTAINERS[name]
    assert memory(container["mem_limit"]) > 0
    assert cpu(container["cpus"]) > 0
    assert container["pids_limit"] > 0
    assert container["logging"]["options"].keys() == {"max-size", "max-file", "tag"}


def test_all_containers_together_fit_the_machine() -> None:
    """With every profile on, the limits add up to less than the machine has."""
    assert sum(memory(container["mem_limit"]) for container in CONTAINERS.values()) <= MEMORY
    assert sum(cpu(container["cpus"]) for container in CONTAINERS.values()) <= CORES


@every_container
def test_every_container_has_no_more_rights_than_it_needs(name: str) -> None:
    """A read-only root file system, no new privileges, no capability but a low port's and the logs' reader's."""
    container = CONTAINERS[name]
    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert container.get("cap_add", []) == CAPABILITIES.get(name, [])
    assert container.get("user") != "0:0" or name == "shipper"
    assert not {"privileged", "network_mode", "pid", "ipc", "devices"} & container.keys()


@every_container
def test_every_image_is_pinned(name: str) -> None:
    """An image names a version, never `latest` and never nothing."""
    tag = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", CONTAINERS[name]["image"]).partition(":")[2]
    assert re.search(r"\d", tag), CONTAINERS[name]["image"]


@every_container
def test_every_container_says_how_it_is(name: str) -> None:
    """A health check, in the file or in a service's image; what ends by itself has none."""
    ours = "millrace/" in CONTAINERS[name]["image"] and "millrace/operations" not in CONTAINERS[name]["image"]
    assert "healthcheck" in CONTAINERS[name] or ours or name in ONE_SHOT


@every_container
def test_secrets_are_files(name: str) -> None:
    """No password stands in the file: what is secret is named by path, and mounted where it is named."""
    container = CONTAINERS[name]
    for variable, value in container.get("environment", {}).items():
        assert not re.search("PASSWORD|SECRET|TOKEN|DATABASE_URL|REDIS_URL|NATS_URL", variable) or (
            variable.endswith("_FILE") or variable.endswith("__FILE")
        ), variable
        if str(value).startswith("/run/secrets/"):
            assert value.removeprefix("/run/secrets/") in container["secrets"]
    for path in re.findall(r"/run/secrets/(\w+)", str(container.get("command", ""))):
        assert path in container["secrets"]
    assert not re.search(r"://[^/\s]*:[^/\s]*@", str(container))


def test_every_secret_is_made_and_used(prepared: Path) -> None:
    """`prepare` makes each secret of the file and no other, readable in a container, in a closed directory."""
    made = {path.name for path in (prepared / "secrets").iterdir()}
    used = {secret for container in CONTAINERS.values() for secret in container.get("secrets", [])}
    assert made == FILE["secrets"].keys() == used
    assert {entry["file"] for entry in FILE["secrets"].values()} == {f"./secrets/{name}" for name in made}
    assert (prepared / "secrets").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (prepared / "secrets").iterdir()} == {0o444}


def test_prepare_changes_nothing_that_is_there(prepared: Path) -> None:
    """Secrets outlive a second run; no two passwords are the same."""
    before = {path.name: path.read_text() for path in (prepared / "secrets").iterdir()}
    subprocess.run(["sh", "prepare"], cwd=prepared, check=True, capture_output=True, timeout=240)
    assert {path.name: path.read_text() for path in (prepared / "secrets").iterdir()} == before
    passwords = [re.search(r":([0-9a-f]{48})@", text) for name, text in before.items() if name.endswith("_url")]
    found = [match[1] for match in passwords if match]
    assert len(found) == len(set(found)) == 9
    keys = {name: (prepared / "secrets" / f"files_{name}_key").read_text() for name in ("access", "secret")}
    (identity,) = json.loads((prepared / "secrets" / "storage_s3").read_text())["identities"]
    assert identity["credentials"] == [{"accessKey": keys["access"], "secretKey": keys["secret"]}]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_starts_with_what_it_is_given(service: str, prepared: Path) -> None:
    """Every variable is a setting of the service, and with them and the secrets its settings load."""
    given = dict(CONTAINERS[service]["environment"])
    names = {name.removesuffix("_FILE") for name in given}
    assert names - settings(struct(service)).keys() == set()
    environ = {name: _in(prepared, re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)) for name, value in given.items()}
    loaded = load(struct(service), environ)
    assert (loaded.host, loaded.port, loaded.environment) == ("0.0.0.0", 8000, "production")


def _in(directory: Path, value: str) -> str:
    return value.replace("/run/secrets/", f"{directory}/secrets/")


@pytest.mark.parametrize("service", SERVICES)
def test_the_environment_file_holds_settings_that_services_have(service: str) -> None:
    """Each setting that is neither secret nor placed by the file itself can be given in .env."""
    offered = set(re.findall(r"^#?([A-Z][A-Z0-9_]*)=", (COMPOSE / ".env.example").read_text(), re.MULTILINE))
    own = {name for name, setting in settings(struct(service)).items() if not setting.secret and not setting.required}
    assert own - PLACED - set(CONTAINERS[service]["environment"]) <= offered


def test_every_variable_of_the_file_is_in_the_environment_file() -> None:
    """What can be changed from outside is told there."""
    offered = set(re.findall(r"^#?([A-Z][A-Z0-9_]*)=", (COMPOSE / ".env.example").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", TEXT)) <= offered


def test_services_start_after_the_migrations() -> None:
    """The schema is there before the code that needs it, and its servers before it."""
    for service in SERVICES:
        assert CONTAINERS[service]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert CONTAINERS["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    commands = re.findall(r"millrace (\w+)", CONTAINERS["migrate"]["command"][-1])
    assert commands == ["bootstrap", "migrate"]
    assert set(commands) <= millrace.commands.keys()


def test_only_the_edge_is_reached_from_outside() -> None:
    """The services and their servers publish nothing and live in a network without a way out."""
    assert FILE["networks"]["inner"] == FILE["networks"]["watch"] == {"internal": True}
    inner = {*SERVICES, "postgres", "redis", "nats", "migrate"} - {"gateway"}
    outward = {"auth", "records", "realtime", "archive"}  # mails, webhooks, identity providers; buckets
    assert {name for name in inner - outward if CONTAINERS[name]["networks"] != ["inner"]} == set()
    assert {name for name, found in CONTAINERS.items() if "outward" in found["networks"]} == outward
    assert CONTAINERS["edge"]["networks"] == ["edge"]
    assert CONTAINERS["gateway"]["networks"] == ["edge", "inner"]
    for container in CONTAINERS.values():
        for port in container.get("ports", []):
            assert port.startswith("${BIND:-127.0.0.1}:"), "published to this machine alone unless told otherwise"
    assert {name for name, found in CONTAINERS.items() if "ports" in found} == {"edge", "mail", "grafana"}


def test_what_watches_is_kept_apart() -> None:
    """Only who asks the services for something is where they are, and only the screens can be seen."""
    places = {name: CONTAINERS[name]["networks"] for name in WATCHERS}
    assert {name for name, networks in places.items() if "inner" in networks} == {
        "prometheus", "collector", "postgres-exporter", "redis-exporter", "nats-exporter",
    }  # fmt: skip
    assert {name for name, networks in places.items() if "screens" in networks} == {"grafana"}
    assert set().union(*places.values()) == {"inner", "watch", "screens"}


def test_data_is_kept_in_named_volumes() -> None:
    """What a container has to keep outlives it; everything else that is mounted is configuration, read-only."""
    mounts = [mount.split(":") for container in CONTAINERS.values() for mount in container.get("volumes", [])]
    assert {mount[0] for mount in mounts if not mount[0].startswith((".", "/"))} == FILE["volumes"].keys()
    assert {mount[2] for mount in mounts if mount[0].startswith((".", "/"))} <= {"ro"}
    missing = [mount[0] for mount in mounts if mount[0].startswith(".") and not (COMPOSE / mount[0]).exists()]
    assert missing == []


def test_the_edge_hides_what_is_not_for_the_world() -> None:
    """Health, metrics and inner routes end at the edge."""
    caddyfile = (COMPOSE / "config" / "Caddyfile").read_text()
    assert re.search(r"@inner path (.+)", caddyfile)[1].split() == [  # type: ignore[index]
        "/health", "/health/*", "/metrics", "/internal/*",
    ]  # fmt: skip


def test_a_container_ends_before_it_is_killed() -> None:
    """Compose waits longer than a service takes to finish what is in flight."""
    for service in SERVICES:
        grace = int(CONTAINERS[service]["stop_grace_period"].removesuffix("s"))
        assert grace > float(CONTAINERS[service]["environment"]["SHUTDOWN_SECONDS"]) + 10
