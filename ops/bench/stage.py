"""The stage: a throw-away platform with the demo in it, and the bare application on the same PostgreSQL."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg

from millrace.client import Api
from ops.bench.bare import COLUMNS
from ops.demo import people
from ops.embedded import Process, free_port, spawn
from ops.stack import Stack, StackError, readiness
from ops.stack.home import PROJECT, Home
from ops.stack.plan import SERVERS, Plan

NOTES = 1000

# Limits are checked as ever, but none is reached.
_GENEROUS = {
    f"LIMIT_{who}_{what}": "100000000"
    for who in ("PRINCIPAL", "TENANT", "ADDRESS", "SOCKET")
    for what in ("RATE", "BURST")
} | {
    **{f"{what}_RATE_PER_{who}": "1000000" for what in ("JOIN", "FRAME") for who in ("USER", "TENANT", "NODE")},
    "MAX_SOCKETS_PER_USER": "20000",
    "LIMIT_SIGN_IN_PER_MINUTE": "1000000",
    "LIMIT_SIGN_IN_ADDRESS_PER_MINUTE": "1000000",
}
_COPY = f"""
create schema bench;
create table bench.records as select tenant_id, {COLUMNS} from records.records;
alter table bench.records add primary key (tenant_id, id);
create index on bench.records (tenant_id, pipeline_id, id);
create index on bench.records (tenant_id, pipeline_id, ((data->'elevation')::numeric) desc, id);
analyze bench.records;
"""  # noqa: S608


@dataclass(frozen=True)
class Stage:
    """A running platform and the ports of what it is compared with."""

    plan: Plan
    api: Api
    bare: int
    relay: int
    tenant: str
    pipelines: dict[str, str]
    load_seconds: float
    cold_seconds: float
    warm_seconds: float

    @property
    def gateway(self) -> int:
        """The gateway's port."""
        return self.plan.ports["gateway"]


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """The whole stage; nothing of it is left afterwards."""
    with _platform() as (plan, cold, warm):
        load_seconds = _load_demo(plan)
        async with Api(plan.gateway_url, people.TENANT) as api:
            await people.enter(api)
            await _add_notes(api)
            pipelines = {item["slug"]: item["id"] async for item in api.pages("/pipelines")}
            tenant = await _copy(plan)
            with _bare(plan) as bare, _gateway_before(plan) as relay:
                yield Stage(plan, api, bare, relay, tenant, pipelines, load_seconds, cold, warm)


@contextmanager
def _platform() -> Iterator[tuple[Plan, float, float]]:
    """The running platform, and what its first and its second start took, in seconds."""
    environ = {name: value for name, value in os.environ.items() if name not in SERVERS.values()}
    with tempfile.TemporaryDirectory(prefix="millrace-bench-", ignore_cleanup_errors=True) as directory:
        stack = Stack(Home(Path(directory) / "home"), {**environ, "PORT": str(free_port()), **_GENEROUS})
        try:
            cold = _start(stack)[1]
            stack.down()
            plan, warm = _start(stack)
            yield plan, cold, warm
        finally:
            stack.reset()


def _start(stack: Stack) -> tuple[Plan, float]:
    started = time.monotonic()
    plan = stack.up(tied=True)
    return plan, time.monotonic() - started


def _load_demo(plan: Plan) -> float:
    started = time.monotonic()
    environ = {**os.environ, "GATEWAY_URL": plan.gateway_url}
    if subprocess.call([sys.executable, "-m", "ops.demo", "load"], cwd=PROJECT, env=environ):
        raise StackError("The demo was not loaded; what is above says why.")
    return time.monotonic() - started


async def _add_notes(api: Api) -> None:
    fields = [{"name": "subject", "type": "text"}, {"name": "score", "type": "number"}]
    made = await api.post("/pipelines", {"name": "Notes", "slug": "notes", "schema_definition": {"fields": fields}})
    operations = [{"op": "create", "data": {"subject": f"Note {n}", "score": n}} for n in range(NOTES)]
    await api.post(f"/pipelines/{made['id']}/records/batch", {"operations": operations})


async def _copy(plan: Plan) -> str:
    connection = await asyncpg.connect(plan.admin_url)
    try:
        await connection.execute(_COPY)
        await connection.execute("vacuum analyze records.records")
        return str(await connection.fetchval("select tenant_id from bench.records limit 1"))
    finally:
        await connection.close()


@contextmanager
def _bare(plan: Plan) -> Iterator[int]:
    port = free_port()
    environ = {"PORT": str(port), "UNIX_SOCKET": str(plan.home.socket("bare")), "DATABASE_URL": plan.admin_url}
    with _process(
        plan, Process("bare", (sys.executable, "-m", "ops.bench.bare"), PROJECT, environ, inherit=True), port
    ):
        yield port


@contextmanager
def _gateway_before(plan: Plan) -> Iterator[int]:
    """A second gateway, for which the bare application is the records service."""
    port = free_port()
    first = plan.processes()["gateway"]
    environ = {**first.env, "PORT": str(port), "RECORDS_URL": f"unix://{plan.home.socket('bare')}"}
    with _process(plan, replace(first, name="gateway-alone", env={**environ, **_GENEROUS}), port):
        yield port


@contextmanager
def _process(plan: Plan, process: Process, port: int) -> Iterator[None]:
    spawned = spawn(process, plan.home.run)
    try:
        spawned.wait_ready(lambda: readiness.ask(port, "/api/v1/pipelines")[0] != 0)
        yield
    finally:
        spawned.stop()
