"""Whatever is sent to any operation of the merged OpenAPI document, no answer is a server error."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.journeys.crm import make_pipeline, make_record, number, text, told
from tests.support.platform import Platform, Tenant

pytestmark = pytest.mark.journey

SECONDS = 20
# What ends the session that the fuzzer works with, or its tenant.
ENDING = "^/api/v1/(sessions|auth/logout|organizations/current$)"
# And what it would wait for.
ENDLESS = "^/api/v1/changes/stream"
LEFT_OUT = f"{ENDING}|{ENDLESS}"


async def test_made_up_ids_make_no_server_error(stack: Platform, tenant: Tenant, tmp_path: Path) -> None:
    """Every operation, with ids that the fuzzer makes up."""
    _fuzz(stack, tenant, tmp_path, {}, "--exclude-path-regex", LEFT_OUT)
    await _is_signed_in(tenant)


async def test_ending_sessions_makes_no_server_error(stack: Platform, tenant: Tenant, tmp_path: Path) -> None:
    """The operations that end the fuzzer's own session, which the others leave out."""
    _fuzz(stack, tenant, tmp_path, {}, "--include-path-regex", ENDING, seconds=5)


async def test_real_ids_make_no_server_error(stack: Platform, tenant: Tenant, tmp_path: Path) -> None:
    """Every operation that does not delete, on a pipeline and a record that exist, so that bodies are looked at."""
    fields = (text("name"), number("score"), {"name": "tags", "type": "tags"}, {"name": "due", "type": "date"})
    pipeline = await make_pipeline(tenant.client, "Fuzzed", *fields)
    record = await make_record(tenant.client, pipeline, {"name": "fuzzed", "score": 1})
    ids = {"pipeline_id": pipeline["id"], "record_id": record["id"], "user_id": tenant.user["id"]}
    _fuzz(
        stack,
        tenant,
        tmp_path,
        {f"path.{name}": value for name, value in ids.items()},
        "--exclude-path-regex",
        LEFT_OUT,
        "--exclude-method",
        "DELETE",
    )
    await _is_signed_in(tenant)


async def _is_signed_in(tenant: Tenant) -> None:
    # Otherwise all that the fuzzer saw were refusals.
    told(await tenant.client.get("/users/me"))


def _fuzz(
    stack: Platform, tenant: Tenant, directory: Path, given: dict[str, str], *options: str, seconds: int = SECONDS
) -> None:
    path = directory / "schemathesis.toml"
    parameters = {**given, "query.wait": "0"}
    path.write_text("\n".join(["[parameters]", *(f'"{name}" = "{value}"' for name, value in parameters.items())]))
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(path),
        "run", f"{stack.url}/openapi.json", "--url", stack.url,
        "--header", f"Authorization: Bearer {tenant.access_token}",
        "--checks", "not_a_server_error", "--phases", "coverage,fuzzing",
        "--max-time", str(seconds), "--seed", "1", "--max-examples", "25", "--continue-on-failure", "--no-shrink",
        "--generation-database", "none", "--warnings", "off", "--suppress-health-check", "all", *options,
    ]  # fmt: skip
    finished = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=240)
    assert finished.returncode == 0, finished.stdout[-6000:] + finished.stderr[-2000:]
