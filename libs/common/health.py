"""Health: named checks, run together, each bounded in time."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

import msgspec

Check = Callable[[], Awaitable[None]]
CHECK_SECONDS = 2.0


class CheckResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One check: `ok` or `failed`, how long it took, and why it failed."""

    status: str
    milliseconds: float
    detail: str | None = None


class Health(msgspec.Struct, frozen=True):
    """A process's health: `failed` when a required check fails, `degraded` when another does, else `ok`."""

    status: str
    service: str
    version: str
    checks: dict[str, CheckResult]


async def report(service: str, version: str, required: Mapping[str, Check], others: Mapping[str, Check]) -> Health:
    """Runs all checks at once."""
    checks = {**required, **others}
    results = dict(zip(checks, await asyncio.gather(*(_run(check) for check in checks.values())), strict=True))
    failed = {name for name, result in results.items() if result.status != "ok"}
    status = "failed" if failed & required.keys() else "degraded" if failed else "ok"
    return Health(status, service, version, results)


async def _run(check: Check) -> CheckResult:
    started = time.perf_counter()
    detail = None
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check()
    except Exception as error:
        detail = str(error) or type(error).__name__
    return CheckResult("failed" if detail else "ok", round((time.perf_counter() - started) * 1000, 2), detail)
