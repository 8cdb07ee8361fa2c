"""The schema is migrated before new code is rolled out."""

import pytest

from ops.cli import millrace
from tests.deploy.charts import EXAMPLES, Manifest, of_kind, rendered

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
    assert list(jobs)[:-1] in ([], ["crm-bootstrap"])
    assert all(weight(job) < 0 for name, job in jobs.items() if name == "crm-bootstrap")  # type: ignore[operator]


def test_what_a_hook_needs_is_there_before_it(example: str) -> None:
    """Service account, secret and network policy of a job are hooks of lower weight, or exist already."""
    for job in of_kind(example, "Job").values():
        spec = job["spec"]["template"]["spec"]
        needed = {spec["serviceAccountName"], *(v["secret"]["secretName"] for v in spec["volumes"] if "secret" in v)}
        found = [manifest for manifest in rendered(example) if manifest["metadata"]["name"] in needed]
        assert {manifest["kind"] for manifest in found} >= {"ServiceAccount", "NetworkPolicy"}
        for manifest in found:
            assert weight(manifest) is not None
            assert weight(manifest) < weight(job)  # type: ignore[operator]


def test_jobs_run_commands_that_exist(example: str) -> None:
    """Each job's command is one of `millrace`."""
    for job in of_kind(example, "Job").values():
        program, command, *_ = job["spec"]["template"]["spec"]["containers"][0]["command"]
        assert program == "millrace"
        assert command in millrace.commands
