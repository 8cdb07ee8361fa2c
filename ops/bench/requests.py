"""Requests a second: the gateway's whole path against the bare application, and the gateway alone."""

import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from statistics import median
from urllib.parse import quote

import msgspec

from ops.bench.figures import Figure
from ops.bench.generator import Load, Result
from ops.bench.stage import Stage
from ops.stack.home import PROJECT

ROUNDS = 3
_SAMPLE = 1000


class BenchFailed(Exception):
    """A measurement is worth nothing, since requests were refused or connections lost."""


@dataclass(frozen=True)
class Side:
    """A port and the requests sent to it in turn."""

    port: int
    requests: list[bytes]
    clients: int = 32


@dataclass(frozen=True)
class Case:
    """Two sides doing the same, measured in turns."""

    name: str
    ours: Side
    base: Side
    bar: float | None = None


async def measure(stage: Stage, tell: Callable[[str], None]) -> list[Figure]:
    """Every case, round after round."""
    cases = await _cases(stage)
    results: dict[str, list[tuple[Result, Result]]] = {case.name: [] for case in cases}
    for place in range(ROUNDS):
        for case in cases:
            tell(f"round {place + 1} of {ROUNDS}: {case.name}")
            results[case.name].append((run(case.ours), run(case.base)))
    return [_figure(case, results[case.name]) for case in cases]


def run(side: Side) -> Result:
    """One run of the generator, in a process of its own."""
    load = msgspec.msgpack.encode(Load(port=side.port, requests=side.requests, clients=side.clients))
    command = [sys.executable, "-m", "ops.bench.generator"]
    finished = subprocess.run(command, cwd=PROJECT, input=load, stdout=subprocess.PIPE, check=True)
    result = msgspec.json.decode(finished.stdout, type=Result)
    if not result.statuses or any(not 200 <= status < 300 for status in result.statuses):
        raise BenchFailed(f"port {side.port} answered {result.statuses} to {side.requests[0].decode()}")
    return result


def request(method: str, path: str, token: str = "", body: bytes | None = None) -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


async def _cases(stage: Stage) -> list[Case]:
    airports, notes = stage.pipelines["airports"], stage.pipelines["notes"]
    airport_ids, note_ids = await _ids(stage, airports), await _ids(stage, notes)
    ours, base = f"/api/v1/pipelines/{airports}/records", f"/{stage.tenant}"
    our_notes = f"/api/v1/pipelines/{notes}/records"
    query = f"{quote('filter[elevation][gte]')}=8000&sort=-elevation&limit=50"

    def case(name: str, method: str, ours: list[str], base: list[str], bar: float | None = None) -> Case:
        return Case(name, _gateway(stage, method, ours), Side(stage.bare, _requests(method, base)), bar)

    return [
        case(
            "read one",
            "GET",
            [f"{ours}/{record}" for record in airport_ids],
            [f"{base}/read/{record}" for record in airport_ids],
            0.5,
        ),
        case("list of 50", "GET", [f"{ours}?limit=50"], [f"{base}/list/{airports}"]),
        case("filter and sort, 50", "GET", [f"{ours}?{query}"], [f"{base}/filter/{airports}"]),
        case("create", "POST", [our_notes], [f"{base}/create/{notes}"]),
        case(
            "patch",
            "PATCH",
            [f"{our_notes}/{record}" for record in note_ids],
            [f"{base}/patch/{record}" for record in note_ids],
        ),
        Case(
            "gateway alone",
            Side(stage.relay, _requests("GET", [ours], stage.api.token)),
            Side(stage.bare, _requests("GET", [ours])),
            0.5,
        ),
    ]


def _gateway(stage: Stage, method: str, paths: list[str]) -> Side:
    return Side(stage.gateway, _requests(method, paths, stage.api.token))


def _requests(method: str, paths: list[str], token: str = "") -> list[bytes]:
    if method == "GET":
        return [request(method, path, token) for path in paths]
    bodies = [msgspec.json.encode({"data": {"subject": f"Note {n}", "score": n}}) for n in range(997)]
    pairs = zip(cycle(paths), bodies, strict=False)
    return [request(method, path, token, body) for path, body in pairs]


async def _ids(stage: Stage, pipeline: str) -> list[str]:
    ids = [record["id"] async for record in stage.api.pages(f"/pipelines/{pipeline}/records")]
    return random.sample(ids, min(_SAMPLE, len(ids)))


def _figure(case: Case, results: list[tuple[Result, Result]]) -> Figure:
    ours, base = zip(*results, strict=True)
    p99 = median(result.p99_ms for result in ours)
    busy = max(result.busy for result in (*ours, *base))
    return Figure(
        case.name,
        median(result.rate for result in ours),
        "/s",
        median(result.rate for result in base),
        least_ratio=case.bar,
        note=f"p99 {p99:.0f} ms, generator at {busy:.0%}",
    )
