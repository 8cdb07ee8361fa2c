"""The schema is migrated before new code is rolled out."""

import click
import pytest

from ops.cli import millrace
from tests.deploy.charts import EXAMPLES, Manifest, containers, of_kind, rendered

pytestmark = pytest.mark.parametrize("example", EXAMPLES)


def weight(manifest: Manifest) -> int | None:
    """When a hook runs; none for what is no hook."""
    annotations = manifest["metadata"].get("annotations", {})
    if annotations.get("helm.sh/hook") != "pre-install,pre-upgrade":
        return None
    return int(annotations["helm.sh/hook-weight"])


def test_migrations_run_before_install_and_upgrade(example: str) -> None:
    """A Job of the operator's image runs `millrace migrate`, bounded in time and tries."""
    job = of_kind(example, "Job")["crm-migrate"]
    assert weight(job) == 0
    assert job["spec"]["template"]["spec"]["containers"][0]["command"] == ["millrace", "migrate"]
    assert job["spec"]["activeDeadlineSeconds"] == 900
    assert job["spec"]["backoffLimit"] == 3


def test_roles_are_made_before_the_schema_is_migrated(example: str) -> None:
    """Where the chart makes the roles, it does so first."""
    jobs = of_kind(example, "Job")
    assert [name for name in jobs if weight(jobs[name]) is not None][:-1] in ([], ["crm-bootstrap"])
    assert all(weight(job) < 0 for name, job in jobs.items() if name == "crm-bootstrap")  # type: ignore[operator]


def test_what_a_hook_needs_is_there_before_it(example: str) -> None:
    """Service account, secret and network policy of a job are hooks of lower weight, or exist already."""
    for job in of_kind(example, "Job").values():
        if weight(job) is None:
            continue
        spec = job["spec"]["template"]["spec"]
        needed = {spec["serviceAccountName"], *(v["secret"]["secretName"] for v in spec["volumes"] if "secret" in v)}
        found = [manifest for manifest in rendered(example) if manifest["metadata"]["name"] in needed]
        assert {manifest["kind"] for manifest in found} >= {"ServiceAccount", "NetworkPolicy"}
        for manifest in found:
            assert weight(manifest) is not None
            assert weight(manifest) < weight(job)  # type: ignore[operator]


def test_nothing_of_a_hook_outlives_it(example: str) -> None:
    """Helm uninstalls no hooks, so each goes when it has succeeded, and nothing that stays needs anything of one."""
    hooks = [found for found in rendered(example) if "helm.sh/hook" in found["metadata"].get("annotations", {})]
    assert {found["metadata"]["annotations"]["helm.sh/hook-delete-policy"] for found in hooks} == {
        "before-hook-creation,hook-succeeded"
    }
    gone = {(found["kind"], found["metadata"]["name"]) for found in hooks}
    for found in rendered(example):
        if found["kind"] in ("Deployment", "StatefulSet", "CronJob"):
            spec = found["spec"].get("jobTemplate", found)["spec"]["template"]["spec"]
            secrets = {v["secret"]["secretName"] for v in spec["volumes"] if "secret" in v}
            needed = {("ServiceAccount", spec["serviceAccountName"])} | {("Secret", name) for name in secrets}
            assert (needed | {("ExternalSecret", name) for name in secrets}) & gone == set()


def test_jobs_run_commands_that_exist(example: str) -> None:
    """Each job's command is one of `millrace`."""
    for name, container in containers(example).items():
        if not name.startswith("Deployment/"):
            program, *words = container["command"]
            assert program == "millrace"
            found: click.Command = millrace
            for word in words:
                if not isinstance(found, click.Group) or word.startswith("-"):
                    break
                found = found.commands[word]


def test_backups_are_taken_by_night_and_proven_by_week(example: str) -> None:
    """Where backups are on, both jobs use the same folder, which outlives the release; only one holds the key."""
    jobs = {name: job for name, job in of_kind(example, "CronJob").items() if name.startswith("crm-backup")}
    assert jobs.keys() in (set(), {"crm-backup", "crm-backup-verify"})
    for name, job in jobs.items():
        spec = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        claims = [
            volume["persistentVolumeClaim"]["claimName"] for volume in spec["volumes"] if "persist" in str(volume)
        ]
        assert claims == ["crm-backups"]
        keys = {entry["name"] for entry in spec["containers"][0]["env"]} & {"BACKUP_IDENTITY_FILE"}
        assert bool(keys) == (name == "crm-backup-verify")
        assert job["spec"]["concurrencyPolicy"] == "Forbid"
    for claim in of_kind(example, "PersistentVolumeClaim").values():
        assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_every_second_is_archived_by_one_and_proven_by_week(example: str) -> None:
    """Where the archive is on, one process streams, jobs copy and prove, and only who proves holds the key."""
    pods = {**of_kind(example, "StatefulSet"), **of_kind(example, "CronJob")}
    ours = {name: found for name, found in pods.items() if name.startswith("crm-archive")}
    assert ours.keys() in (set(), {"crm-archive", "crm-archive-base", "crm-archive-verify"})
    places = set()
    for name, found in ours.items():
        spec = found["spec"].get("jobTemplate", found)["spec"]["template"]["spec"]
        given = {entry["name"]: entry["value"] for entry in spec["containers"][0]["env"]}
        assert ("BACKUP_IDENTITY_FILE" in given) == (name == "crm-archive-verify")
        places.add(given["BACKUP_ARCHIVE"])
    assert len(places) == bool(ours)
    if ours:
        assert ours["crm-archive"]["spec"]["replicas"] == 1
        assert ours["crm-archive"]["spec"]["template"]["spec"]["restartPolicy"] == "Always"


def test_what_was_deployed_is_noted_afterwards(example: str) -> None:
    """Where it is asked for, a Job notes the version and the environment once everything has been applied."""
    for name, job in of_kind(example, "Job").items():
        if name.endswith("-record"):
            assert job["metadata"]["annotations"]["helm.sh/hook"] == "post-install,post-upgrade,post-rollback"
            command = job["spec"]["template"]["spec"]["containers"][0]["command"]
            assert command[:6] == ["millrace", "deploy", "record", "0.1.0", "--environment", "production"]
