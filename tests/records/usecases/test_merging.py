"""Whatever two clients do in whatever order, nobody's acknowledged change is lost unseen."""

import asyncio
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.records.support import Service

FIELDS = ("a", "b")


@dataclass(frozen=True)
class Step:
    """What one of the clients does: look at the record, or patch fields of it as it last saw it."""

    client: int
    fields: tuple[str, ...]
    value: int


@dataclass(frozen=True)
class Acknowledged:
    """A change that the service took: which value, made to which version, becoming which."""

    value: int
    base: int
    version: int


steps = st.builds(
    Step, st.integers(0, 1), st.lists(st.sampled_from(FIELDS), max_size=2, unique=True).map(tuple), st.integers(0, 3)
)


@settings(max_examples=40)
@given(waves=st.lists(st.lists(steps, min_size=1, max_size=3), min_size=1, max_size=6))
def test_no_acknowledged_change_is_lost(loop: tuple[asyncio.Runner, Service], waves: list[list[Step]]) -> None:
    """Steps of a wave run at once: of two taken changes of a field, the later one's client had seen the earlier."""
    runner, service = loop
    final, log = runner.run(play(service, waves))
    for name, changes in log.items():
        ordered = sorted(changes, key=lambda change: change.version)
        for earlier, later in pairwise(ordered):
            assert later.base >= earlier.version
        assert final["data"][name] == (ordered[-1].value if ordered else -1)


async def play(service: Service, waves: list[list[Step]]) -> tuple[dict[str, Any], dict[str, list[Acknowledged]]]:
    """The record in the end, and by field the changes that were taken."""
    pipeline = service.pipeline(*({"name": name, "type": "number"} for name in FIELDS))
    made = await service.client.create(pipeline, dict.fromkeys(FIELDS, -1))
    path = f"/pipelines/{pipeline}/records/{made['id']}"
    seen = [made, made]
    log: dict[str, list[Acknowledged]] = {name: [] for name in FIELDS}

    async def take(step: Step) -> None:
        base = seen[step.client]
        if not step.fields:
            seen[step.client] = (await service.client.get(path)).json()
            return
        patch = {"data": dict.fromkeys(step.fields, step.value)}
        response = await service.client.patch(path, patch, headers={"If-Match": f'"{base["version"]}"'})
        if response.status_code == 412:
            return
        assert response.status_code == 200, response.text
        seen[step.client] = response.json()
        history = (await service.client.get(f"{path}/history?limit=200")).json()["items"]
        entry = next(entry for entry in history if entry["version"] == response.json()["version"])
        for name in step.fields:
            if name in entry["changes"] and entry["changes"][name]["new"] == step.value:
                log[name].append(Acknowledged(step.value, base["version"], entry["version"]))

    for wave in waves:
        await asyncio.gather(*(take(step) for step in wave))
    return (await service.client.get(path)).json(), {name: unique(changes) for name, changes in log.items()}


def unique(changes: list[Acknowledged]) -> list[Acknowledged]:
    """One acknowledgement per version: a change that was already made is acknowledged without a new one."""
    best: dict[int, Acknowledged] = {}
    for change in changes:
        if change.version not in best or change.base > best[change.version].base:
            best[change.version] = change
    return list(best.values())
