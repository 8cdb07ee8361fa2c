"""What the charts give to a process is what the process asks for."""

import re
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from deploy.settings import SERVICES, outputs, settings, struct
from libs.common.settings import load
from tests.deploy.charts import EXAMPLES, containers, of_kind, pods

# The settings of the operator's jobs, which `millrace` reads.
OPERATIONS = (
    {"ADMIN_DATABASE_URL", "MIGRATION_DATABASE_URL", "BACKUP_IDENTITY"}
    | {
        *("BACKUP_S3_ACCESS_KEY", "BACKUP_S3_SECRET_KEY"),
    }
    | {f"{service.upper()}_DATABASE_URL" for service in SERVICES if service != "gateway"}
)
BACKUP = {f"BACKUP_{name}" for name in ("FOLDER", "KEEP", "DAYS", "RECIPIENT", "ARCHIVE", "SPOOL", "STREAM_SECONDS")}
BACKUP |= {"TMPDIR", "LOG_FORMAT"}


def environment(example: str, service: str) -> dict[str, str]:
    """What the container of a service finds in its environment."""
    container = containers(example)[f"Deployment/crm-{service}/{service}"]
    config = of_kind(example, "ConfigMap")[container["envFrom"][0]["configMapRef"]["name"]]["data"]
    return config | {entry["name"]: entry["value"] for entry in container["env"]}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("example", EXAMPLES)
def test_every_variable_is_a_setting_of_the_service(example: str, service: str) -> None:
    """Nothing is given that the service does not read."""
    known = settings(struct(service)).keys()
    names = {name if name in known else name.removesuffix("_FILE") for name in environment(example, service)}
    assert names - known == set()


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("example", EXAMPLES)
def test_a_service_starts_with_what_it_is_given(example: str, service: str, tmp_path: object) -> None:
    """The settings load from this environment: what is required is there, and every value fits its type."""
    given = {}
    for name, value in environment(example, service).items():
        secret = name.endswith("_FILE") and not name.startswith("TLS_")
        given[name.removesuffix("_FILE")] = "a-secret-of-sufficient-length" if secret else value
    loaded = load(struct(service), given)
    assert (loaded.host, loaded.port) == ("0.0.0.0", 8000)


@pytest.mark.parametrize("example", EXAMPLES)
def test_secrets_are_files_and_never_in_the_environment(example: str) -> None:
    """A ConfigMap and a container's environment hold no secret, only the paths of mounted ones."""
    secret = {
        name for service in SERVICES for name, setting in settings(struct(service)).items() if setting.secret
    } | OPERATIONS
    for config in of_kind(example, "ConfigMap").values():
        assert secret & config["data"].keys() == set()
    for container in containers(example).values():
        assert secret & {entry["name"] for entry in container.get("env", [])} == set()


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_secret_file_is_mounted_from_a_key_that_exists(example: str) -> None:
    """The path that a `_FILE` variable names is a key of the mounted Secret."""
    for name, pod in pods(example).items():
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        secret = volumes["secrets"]["secret"]
        keys = {item["path"] for item in secret["items"]}
        variables = pod["spec"]["containers"][0]["env"]
        asked = {entry["value"] for entry in variables if re.match("(?!TLS_).*_FILE$", entry["name"])}
        assert {f"/run/secrets/millrace/{key}" for key in keys} == asked, name
        made = of_kind(example, "Secret").get(secret["secretName"])
        assert made is None or keys <= made["stringData"].keys()
        fetched = of_kind(example, "ExternalSecret").get(secret["secretName"])
        assert fetched is None or keys <= {entry["secretKey"] for entry in fetched["spec"]["data"]}


@pytest.mark.parametrize("example", EXAMPLES)
def test_all_pods_share_the_files(example: str) -> None:
    """Files lie in a bucket that the pods may reach, or on a claim that is mounted where the service looks."""
    url = urlsplit(environment(example, "records")["FILES_URL"])
    pod = pods(example)["Deployment/crm-records"]["spec"]
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    claims = {volume["name"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume}
    rules = of_kind(example, "NetworkPolicy")["crm-records"]["spec"]["egress"]
    ports = {port["port"] for rule in rules for port in rule["ports"]}
    if url.scheme == "file":
        assert {mounts[name] for name in claims} == {url.path}
    else:
        endpoint = parse_qs(url.query).get("endpoint", ["https://aws"])[0]
        assert (url.scheme, claims) == ("s3", set())
        assert (urlsplit(endpoint).port or 443) in ports


@pytest.mark.parametrize("example", EXAMPLES)
def test_jobs_are_given_what_the_command_reads(example: str) -> None:
    """The operator's jobs get files of known settings only."""
    for name, container in containers(example).items():
        if not name.startswith("Deployment/"):
            names = {entry["name"].removesuffix("_FILE") for entry in container["env"]}
            assert names <= OPERATIONS | BACKUP


@pytest.mark.parametrize("path", sorted(outputs()), ids=lambda path: "/".join(path.parts[-2:]))
def test_what_is_written_from_the_settings_is_fresh(path: object) -> None:
    """`./taskw settings` would change nothing."""
    expected = outputs()[path]  # type: ignore[index]
    assert path.read_text() == expected, "run ./taskw settings"  # type: ignore[attr-defined]


def test_a_name_means_the_same_in_every_service() -> None:
    """One .env file is given to all services, so a setting that two of them have is of one type."""
    seen: dict[str, object] = {}
    for service in SERVICES:
        for field in msgspec.structs.fields(struct(service)):
            assert seen.setdefault(field.name, field.type) == field.type
