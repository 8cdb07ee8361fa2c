"""The main job, step by step: two people on one record, searching, racing, and a stranger who gets nothing."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import click

from millrace.client import Api, ApiError, Live
from ops.demo import people
from ops.demo.datasets import Row
from ops.demo.world import airports, borders

STRANGER = ("Rival Company", "rival", "owner@rival.test")
_COUNTRY = "FR"
_WRITERS, _INCREMENTS = 5, 100


class StoryFailed(Exception):
    """Something came out otherwise than the platform promises."""


@dataclass
class Scene:
    """Who and what is on stage."""

    gateway: str
    stack: AsyncExitStack
    airports: Sequence[Row]
    apis: dict[str, Api] = field(default_factory=dict)
    sockets: dict[str, Live] = field(default_factory=dict)
    pipelines: dict[str, str] = field(default_factory=dict)
    company: dict[str, Any] = field(default_factory=dict)

    @property
    def owner(self) -> Api:
        """The first of the two."""
        return self.apis["owner"]

    def path(self, slug: str, *rest: str) -> str:
        """The path of the records of a pipeline, or of one."""
        return "/".join((f"/pipelines/{self.pipelines[slug]}/records", *rest))

    async def api(self, name: str, tenant: str) -> Api:
        """An API of someone, open until the story ends."""
        self.apis[name] = await self.stack.enter_async_context(Api(self.gateway, tenant))
        return self.apis[name]


Step = Callable[[Scene], Awaitable[str]]


async def play(gateway: str, loaded: Sequence[Row] | None = None) -> None:
    """Play all steps, printing what happened and how long it took; on all airports unless only some were loaded."""
    async with AsyncExitStack() as stack:
        scene = Scene(gateway, stack, airports() if loaded is None else loaded)
        for place, (title, step) in enumerate(STEPS, 1):
            started = time.perf_counter()
            happened = await step(scene)
            took = (time.perf_counter() - started) * 1000
            click.echo(f"{place}. {click.style(title, bold=True)}  {took:.0f} ms\n   {happened}")


async def sign_in(scene: Scene) -> str:
    """The owner and a member sign in."""
    for role in ("owner", "member"):
        api = await scene.api(role, people.TENANT)
        await api.sign_in(people.address(role), people.PASSWORD)
    scene.pipelines = {item["slug"]: item["id"] async for item in scene.owner.pages("/pipelines")}
    if "companies" not in scene.pipelines:
        raise StoryFailed("The demo is not loaded: ./taskw demo")
    return f"{people.NAMES['owner']} and {people.NAMES['member']} are in '{people.TENANT}'"


async def watch(scene: Scene) -> str:
    """Both open a socket and watch the same company."""
    page = await scene.owner.get(scene.path("companies"), {"filter[industry]": "software", "limit": 1})
    scene.company = page["items"][0]
    for role in ("owner", "member"):
        api = scene.apis[role]
        scene.sockets[role] = await scene.stack.enter_async_context(Live.open(scene.gateway, api.token))
        await scene.sockets[role].subscribe(f"record:{scene.company['id']}")
    return f"both watch '{scene.company['title']}'"


async def edit(scene: Scene) -> str:
    """The owner edits a field on the socket; the member sees it, and the API has it."""
    words = f"Called them at {time.strftime('%H:%M:%S')}"
    update = {"record_id": scene.company["id"], "field": "notes", "value": words, "operation_id": str(uuid4())}
    started = time.perf_counter()
    await scene.sockets["owner"].send(type="field_update", **update)
    seen = await scene.sockets["member"].expect("field_update", field="notes", value=words)
    took = (time.perf_counter() - started) * 1000
    ack = await scene.sockets["owner"].expect("ack", operation_id=update["operation_id"])
    stored = await scene.apis["member"].get(scene.path("companies", scene.company["id"]))
    _must(stored["data"]["notes"] == words, "the API does not have what the socket announced")
    by = seen["user"]["name"]
    return f"notes: '{words}', by {by}, seen after {took:.0f} ms as version {ack['version']}"


async def search(scene: Scene) -> str:
    """A filter with a sort: the highest airports."""
    query = {"filter[elevation][gte]": 12000, "sort": "-elevation", "limit": 5, "count": "exact"}
    page = await scene.owner.get(scene.path("airports"), query)
    expected = sum(airport["elevation"] >= 12000 for airport in scene.airports)
    _must(page["count"] == expected, f"{page['count']} airports above 12,000 feet instead of {expected}")
    top = page["items"][0]["data"]
    return f"{page['count']} airports above 12,000 feet; the highest is {top['name']} at {top['elevation']:,.0f}"


async def reach(scene: Scene) -> str:
    """A search by relation: the airports of a country's neighbours, by a filter and by traversal."""
    codes = sorted({code for pair in borders() if _COUNTRY in pair for code in pair} - {_COUNTRY})
    expected = sum(airport["country"] in codes for airport in scene.airports)
    query = {"filter[country.code][in]": ",".join(codes), "count": "exact", "limit": 1}
    filtered = (await scene.owner.get(scene.path("airports"), query))["count"]
    country = (await scene.owner.get(scene.path("countries"), {"filter[code]": _COUNTRY}))["items"][0]
    walk = {"path": "borders,airport_of", "count": "exact", "limit": 1}
    walked = (await scene.owner.get(f"/records/{country['id']}/traverse", walk))["count"]
    _must(filtered == expected == walked, f"{filtered} by filter, {walked} by traversal, {expected} in the source")
    return f"{country['title']} borders {', '.join(codes)}: {walked:,} airports there, by traversal and by filter"


async def race(scene: Scene) -> str:
    """Five writers make a hundred increments each of one field; none is lost."""
    path = scene.path("companies", scene.company["id"])
    before = (await scene.owner.get(path))["data"].get("score") or 0

    async def writer() -> None:
        for _ in range(_INCREMENTS):
            await scene.owner.post(f"{path}/increment", {"field": "score", "by": 1})

    await asyncio.gather(*(writer() for _ in range(_WRITERS)))
    after = (await scene.owner.get(path))["data"]["score"]
    _must(after == before + _WRITERS * _INCREMENTS, f"the score went from {before} to {after}")
    await scene.owner.patch(path, {"data": {"score": before}})
    return f"{_WRITERS} writers, {_INCREMENTS} increments each: {before:g} became {after:g}"


async def stranger(scene: Scene) -> str:
    """The owner of another tenant tries to read the record, and to enter by the demo's host."""
    organization, slug, email = STRANGER
    api = await scene.api("stranger", slug)
    try:
        await api.sign_in(email, people.PASSWORD)
    except ApiError:
        await api.sign_up(organization, slug, email, people.PASSWORD, "Rita Rival")
    by_id = await _refusal(api, scene.path("companies", scene.company["id"]))
    intruder = await scene.api("intruder", people.TENANT)
    intruder.token = api.token
    by_host = await _refusal(intruder, "/pipelines")
    _must(by_id.status == 404, f"another tenant's record answers {by_id.status}")
    _must(by_host.status == 403, f"another tenant's host answers {by_host.status}")
    return f"the record: {by_id.status} {by_id.problem['type']}; the host: {by_host.status} {by_host.problem['type']}"


STEPS: tuple[tuple[str, Step], ...] = (
    ("Two people sign in", sign_in),
    ("Both watch one record", watch),
    ("One edits a field, the other sees it", edit),
    ("A filter", search),
    ("A search by relation", reach),
    ("An increment race", race),
    ("A stranger is refused", stranger),
)


async def _refusal(api: Api, path: str) -> ApiError:
    try:
        await api.get(path)
    except ApiError as error:
        return error
    raise StoryFailed(f"{path} was answered to another tenant")


def _must(holds: bool, otherwise: str) -> None:
    if not holds:
        raise StoryFailed(otherwise)
