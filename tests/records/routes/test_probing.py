"""Nobody learns what they may not read: two worlds that differ in hidden values alone answer every question alike."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import msgspec

from libs.common.errors import AppError
from libs.common.ids import new_id
from libs.common.permissions import Grant
from services.records.domain.views import View
from tests.records.routes.test_sharing import People, anyone, people
from tests.records.routes.test_views import Question
from tests.records.support import Client, Service

__all__ = ["anyone", "people"]

FIELDS: list[dict[str, Any]] = [
    {"name": "name", "type": "text", "searchable": True},
    {"name": "size", "type": "number"},
    {"name": "secret", "type": "text", "searchable": True, "unique": True, "indexed": True},
    {"name": "wealth", "type": "number", "indexed": True},
    {"name": "mail", "type": "email", "searchable": True},
    {"name": "marks", "type": "tags", "searchable": True},
    {"name": "twice", "type": "formula", "expression": "wealth * 2", "result_type": "number"},
    {"name": "price", "type": "currency"},
]
STAGE: dict[str, Any] = {
    "name": "stage",
    "type": "stage",
    "stages": [{"value": value} for value in ("old", "new", "won")],
    "transitions": {"old": ["won"], "new": ["won"]},
}
SHOWN = frozenset({"name", "size", "parent"})
ACTIONS = frozenset({"read", "create", "update", "delete", "export"})
GUESSES = ("alphabet", "zeppelim", "1000", "a@alphabet.example")

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_CURSOR = re.compile(r'"next_cursor":"[^"]+"')


@dataclass
class World:
    """Two pipelines, one with a relation to the other, and whoever may read all of it but what is hidden."""

    prober: Client
    things: UUID
    parents: UUID
    thing: str
    twin: str
    parent: str
    views: dict[UUID, View]

    def probes(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Every way to ask about what is hidden."""
        yield from self._lists()
        yield from self._others()
        yield from self._viewed()
        yield from self._writes()

    def _lists(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        path = f"/pipelines/{self.things}/records"
        for guess in GUESSES:
            for field in (
                "secret",
                "mail",
                "wealth",
                "marks",
                "title",
                "parent.secret",
                "parent.wealth",
                "parent.title",
            ):
                for op in ("eq", "gte", "contains", "is_null", "has_any"):
                    value = "true" if op == "is_null" else guess
                    yield "GET", path, {"params": {f"filter[{field}][{op}]": value}}
        for field in ("secret", "-wealth", "mail", "title", "-title", "parent.secret", "name"):
            yield "GET", path, {"params": {"sort": field, "limit": 1}}
            yield "GET", path, {"params": {"sort": field, "count": "exact"}}
        for field in ("secret", "wealth", "title", "parent.secret", "marks", "twice", "price", "price.amount"):
            for metrics in ("count", f"max:{field}", f"avg:{field}"):
                yield "GET", f"{path}/aggregate", {"params": {"group_by": field, "metrics": metrics}}
            yield "GET", f"{path}/aggregate", {"params": {"metrics": f"min:{field}"}}
            yield "GET", path, {"params": {"fields": f"name,{field}"}}
            yield "GET", path, {"params": {"expand": f"parent,{field}"}}
        yield "GET", path, {"params": {"expand": "parent", "count": "estimated"}}
        yield "GET", f"{path}/trash", {}

    def _viewed(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        for view_id in self.views:
            for more in ({"limit": "1"}, {"filter[name]": "Thing one", "sort": "name"}):
                yield "GET", f"/pipelines/{self.things}/records", {"params": {"view": str(view_id), **more}}
            yield "GET", f"/pipelines/{self.things}/exports", {"params": {"view": str(view_id), "format": "ndjson"}}

    def questions(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """What sockets, boards and shared documents have records asked in the prober's name."""
        token = self.prober.headers["Authorization"].removeprefix("Bearer ")
        for record in (self.thing, self.parent):
            yield "record", {"token": token, "record_id": record}
        yield "records", {"token": token, "record_ids": [self.thing, self.twin, self.parent]}
        board = {"token": token, "pipeline_id": str(self.things), "filter": None, "metrics": "count"}
        for name in ("secret", "wealth", "title", "name"):
            yield "aggregate", {**board, "group_by": name}
            yield "aggregate", {**board, "group_by": "size", "metrics": f"max:{name}"}
            field = {"token": token, "record_id": self.thing, "field": name}
            yield "lock", {**field, "connection": str(UUID(int=7)), "seconds": 30}
            yield "document", field
            for guess in GUESSES:
                tree = msgspec.json.encode({"field": name, "op": "gte", "value": guess}).decode()
                yield "aggregate", {**board, "group_by": "size", "filter": tree}
                operation = {"operation_id": f"{name} {guess}", "base_version": 1, "value": guess}
                yield "field_update", {**field, **operation}

    def _others(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        for guess in GUESSES:
            yield "GET", "/search", {"params": {"q": guess}}
            yield "GET", "/search", {"params": {"q": f"thing {guess}", "pipeline_id": str(self.things)}}
        yield "GET", "/search", {"params": {"q": "thing"}}
        for pipeline, record in ((self.things, self.thing), (self.parents, self.parent)):
            path = f"/pipelines/{pipeline}/records/{record}"
            for query in ({}, {"fields": "secret"}, {"expand": "parent"}):
                yield "GET", path, {"params": query}
            yield "GET", f"{path}/history", {}
            for field in ("secret", "wealth", "mail", "name"):
                yield "GET", f"{path}/history", {"params": {"field": field}}
            for version in ("1", "2", "3"):
                yield "GET", path, {"params": {"as_of": version}}
                yield "GET", path, {"params": {"as_of": version, "fields": "name,secret"}}
            yield "GET", f"{path}/relationships", {}
            yield "GET", f"/pipelines/{pipeline}/duplicates", {}
            for form in ("csv", "ndjson"):
                yield "GET", f"/pipelines/{pipeline}/exports", {"params": {"format": form}}
                yield "GET", f"/pipelines/{pipeline}/exports", {"params": {"format": form, "fields": "secret"}}
                yield "GET", f"/pipelines/{pipeline}/exports", {"params": {"format": form, "sort": "secret"}}
        for params in ({}, {"pipeline_id": str(self.things)}, {"interval": "month"}):
            yield "GET", "/analytics/dashboard", {"params": params}
        yield "GET", f"/records/{self.thing}/traverse", {"params": {"path": "belongs_to"}}
        yield "GET", f"/records/{self.parent}/traverse", {"params": {"path": "~belongs_to"}}
        yield "GET", f"/records/{self.thing}/shortest-path/{self.twin}", {}

    def dry_runs(self, *stages: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """What would become of changes that write what cannot be seen, to old versions and to the present one.

        Who writes a stage learns by which ways it may be come to, so not all try these.
        """
        path = f"/pipelines/{self.things}/records/batch"
        for record in (self.thing, self.twin):
            for name, values in (
                ("secret", GUESSES), ("wealth", (1000, 3, 7, 9000)), ("mail", GUESSES), ("twice", (2000, 6, 14, 18000)),
                ("marks", (["alphabet"], ["zeppelin"])),
                ("stage", stages), ("price", ({"amount": 1000, "currency": "EUR"}, {"amount": 3})),
            ):  # fmt: skip
                for value in values:
                    for version in (None, 1, 2, 3):
                        update = {"op": "update", "id": record, "data": {name: value}, "version": version}
                        yield "POST", path, {"json": {"operations": [update], "dry_run": True}}
        merge = {"target": self.thing, "sources": [self.twin]}
        for name in ("secret", "wealth", "name"):
            yield "POST", "/records/merge", {"json": {**merge, "fields": {name: self.twin}}}

    def _writes(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        path = f"/pipelines/{self.things}/records"
        patch = {"content-type": "application/json-patch+json"}
        for guess in GUESSES:
            twice = ("twice", 2000 if guess == "1000" else 14)
            stage = ("stage", "new")
            for name, value in (("secret", guess), ("wealth", 7), ("mail", guess), ("marks", [guess]), twice, stage):
                data = {"name": "new", name: value}
                yield "POST", path, {"json": {"data": data}}
                yield "PATCH", f"{path}/{self.thing}", {"json": {"data": data}}
                yield "PUT", f"{path}/{self.thing}", {"json": {"data": data}}
                test = [{"op": "test", "path": f"/data/{name}", "value": value}]
                yield "PATCH", f"{path}/{self.thing}", {"json": test, "headers": patch}
                move = [{"op": "copy", "from": f"/data/{name}", "path": "/data/name"}]
                yield "PATCH", f"{path}/{self.thing}", {"json": move, "headers": patch}
            yield "PUT", f"{path}/by/secret/{guess}", {"json": {"data": {"name": "x"}}}
            upsert = {"op": "upsert", "by": "secret", "data": {"secret": guess, "name": "x"}}
            yield "POST", f"{path}/batch", {"json": {"operations": [upsert], "dry_run": True}}
            rows = f"name,secret\nx,{guess}\n".encode()
            csv = {"content": rows, "headers": {"content-type": "text/csv"}}
            yield "POST", f"/pipelines/{self.things}/imports", {"params": {"upsert_by": "secret"}, **csv}
        yield "POST", f"{path}/{self.thing}/revert", {"json": {"version": 1}}
        yield "POST", f"{path}/{self.thing}/increment", {"json": {"field": "wealth", "by": 1}}
        stale = {"if-match": '"1"'}
        yield "PATCH", f"{path}/{self.thing}", {"json": {"data": {"name": "Thing one"}}, "headers": stale}
        yield "PUT", f"{path}/{self.thing}", {"json": {"data": {"name": "Thing one"}}, "headers": stale}
        yield "PATCH", f"{path}/{self.thing}", {"json": {"data": {"size": 5}}, "headers": stale}
        yield "DELETE", f"{path}/{self.twin}", {"headers": stale}


async def world(
    service: Service,
    hidden: list[tuple[str, int, str]],
    granted: Callable[[UUID], list[Grant]] | None = None,
    **options: Any,
) -> World:
    """A world with these hidden values: of the first thing, the second, and the parent.

    Where something else is granted no value is unique, because who writes those learns which are taken.
    """
    own = FIELDS if granted is None else [{**field, "unique": False} for field in FIELDS]
    parents = service.pipeline(*own, **options)
    relation = {
        "name": "parent", "type": "relation", "target_pipeline": str(parents), "relationship_type": "belongs_to",
    }  # fmt: skip
    things = service.pipeline(*own, STAGE, relation, **options)
    admin = service.client
    made = []
    for pipeline, name, (secret, wealth, mail) in (
        (parents, "Parent thing", hidden[2]), (things, "Thing one", hidden[0]), (things, "Thing two", hidden[1]),
    ):  # fmt: skip
        data: dict[str, Any] = {
            "name": name,
            "size": 3,
            "secret": "first",
            "wealth": 0,
            "mail": mail,
            "marks": [secret],
        }
        data["price"] = {"amount": wealth, "currency": "EUR"}
        if pipeline == things:
            data["parent"] = made[0]
            data["stage"] = "new" if wealth > 5 else "old"
        record = await admin.create(pipeline, data)
        path = f"/pipelines/{pipeline}/records/{record['id']}"
        answer = await admin.patch(path, {"data": {"secret": secret, "wealth": wealth}})
        assert answer.status_code == 200, answer.text
        made.append(record["id"])
    grants = [grant for pipeline in (parents, things) for grant in (granted or _shown)(pipeline)]
    views = {it.id: it for it in _views(things)}
    return World(service.principal(*grants), things, parents, made[1], made[2], made[0], views)


def _shown(pipeline: UUID) -> list[Grant]:
    """Some fields of every record, to read and to write."""
    return [Grant("records", ACTIONS, pipeline, readable_fields=SHOWN, writable_fields=SHOWN)]


def _of_some(pipeline: UUID) -> list[Grant]:
    """All fields of records that there are none of, and some of the others."""
    rule = {"field": "name", "op": "eq", "value": "Nothing"}
    return [*_shown(pipeline), Grant("records", ACTIONS, pipeline, row_rule=rule)]


def _unseen(pipeline: UUID) -> list[Grant]:
    """All fields to write, of which some may be read."""
    return [Grant("records", ACTIONS, pipeline, readable_fields=SHOWN)]


def _views(pipeline: UUID) -> Iterator[View]:
    """Views that others made, who may read what the prober may not."""
    for field in ("secret", "wealth", "title", "parent.secret"):
        for kept in (
            {"filter": {"field": field, "op": "gte", "value": "beta" if field != "wealth" else 100}},
            {"sort": f"-{field}"},
            {"group_by": field},
            {"date_field": field},
            {"fields": ("name", field)},
        ):
            yield View(new_id(), pipeline, 1, "shared", new_id(), **kept)  # type: ignore[arg-type]


def alike(answer: httpx.Response) -> tuple[int, str, str | None]:
    """An answer without what differs by chance: ids, times, and cursors, which are made of ids."""
    known: dict[str, str] = {}
    text = _ID.sub(lambda match: known.setdefault(match[0], f"id{len(known)}"), answer.text)
    text = _CURSOR.sub('"next_cursor":"…"', _TIME.sub("time", text))
    return answer.status_code, text, answer.headers.get("etag")


ONE = [("alphabet", 1000, "a@alphabet.example"), ("beta", 7, "a@alphabet.example"), ("gamma", 5, "g@gamma.example")]
OTHER = [("zeppelin", 3, "z@zeppelin.example"), ("yard", 9000, "y@yard.example"), ("xylophone", 1, "x@x.example")]


async def _compare(service: Service, one: World, other: World, *, dry: bool = False) -> None:
    views = one.views | other.views

    async def view(question: Question) -> View:
        return views[question.view_id]

    service.bus.serve("rpc.pipelines.view", Question, view)
    await service.bus.client.flush()
    told = await _behind(service, one, other)
    probes = [[*(it.dry_runs("old", "new", "won") if dry else ()), *it.probes()] for it in (one, other)]
    told += await _told(service, probes, [one, other])
    assert told == []


async def _told(
    service: Service, probes: list[list[tuple[str, str, dict[str, Any]]]], worlds: list[World]
) -> list[str]:
    """What differs between the answers of two worlds, and what of hidden values stands in them."""
    told = []
    for mine, theirs in zip(*probes, strict=True):
        answers = [await w.prober.call(p[0], p[1], **p[2]) for w, p in zip(worlds, (mine, theirs), strict=True)]
        shown = [alike(answer) for answer in answers]
        if shown[0] != shown[1]:
            told.append(f"{mine[0]} {mine[1]} {mine[2]}: {shown[0]} but {shown[1]}")
        for values, answer, asked in zip((ONE, OTHER), answers, (mine, theirs), strict=True):
            hidden = [value for secret, _, mail in values for value in (secret, mail) if value not in str(asked)]
            told += [f"{asked}: tells {value!r}: {answer.text}" for value in hidden if value in answer.text]
            assert answer.status_code < 500, (asked, answer.text)
    return told


async def _behind(service: Service, one: World, other: World) -> list[str]:
    told = []
    for mine, theirs in zip(one.questions(), other.questions(), strict=True):
        answers = [await _ask(service, *question) for question in (mine, theirs)]
        if answers[0] != answers[1]:
            told.append(f"{mine}: {answers[0]} but {answers[1]}")
        hidden = [value for secret, _, mail in ONE for value in (secret, mail) if value not in str(mine)]
        told += [f"{mine}: tells {value!r}: {answers[0]}" for value in hidden if value in answers[0]]
    return told


async def _ask(service: Service, subject: str, question: dict[str, Any]) -> str:
    """An answer over NATS without what differs by chance: ids, times and positions."""
    try:
        answer = await service.bus.request(f"rpc.records.{subject}", question, Any, seconds=60)
    except AppError as error:
        answer = [type(error).__name__, error.code, error.detail, error.errors, error.extra]
    text = _TIME.sub("time", msgspec.json.encode(answer).decode())
    known: dict[str, str] = {}
    text = _ID.sub(lambda match: known.setdefault(match[0], f"id{len(known)}"), text)
    return re.sub(r'"(seq|token)":\d+', r'"\1":0', text)


async def test_hidden_values_change_no_answer(service: Service) -> None:
    """Filters, sorts, aggregates, views, search, history, walks, expansion, exports, duplicates and writes tell
    nothing, nor does what sockets are answered.
    """
    await _compare(service, await world(service, ONE), await world(service, OTHER))


async def test_hidden_values_of_some_records_change_no_answer(service: Service) -> None:
    """Who may see fields in some records only learns nothing of the others, neither by asking nor by writing."""
    await _compare(service, await world(service, ONE, _of_some), await world(service, OTHER, _of_some), dry=True)


async def test_who_writes_what_they_cannot_see_learns_nothing(service: Service) -> None:
    """Whether a value that is written was there already is not told, nor what it was, nor by which version."""
    worlds = [await world(service, hidden, _unseen) for hidden in (ONE, OTHER)]
    assert await _told(service, [list(it.dry_runs()) for it in worlds], worlds) == []


async def test_titles_made_of_hidden_values_change_no_answer(service: Service) -> None:
    """Where the title is made of a hidden field it is not shown, filtered by, sorted by, or searched."""
    template = "{name}: {secret}"
    await _compare(
        service,
        await world(service, ONE, title_template=template),
        await world(service, OTHER, title_template=template),
    )


_TOKEN = re.compile(r"[A-Za-z0-9_-]{32}(?![A-Za-z0-9_-])")


async def _through_links(prober: Client, anyone: Client, world: World) -> list[httpx.Response]:
    """What a link, a form, and those who open them are answered."""
    links, forms = f"/records/{world.thing}/share-links", f"/pipelines/{world.things}/forms"
    form = {"name": "Form", "fields": ["name"], "min_seconds": 0}
    link = await prober.post(links, {"editable": True})
    public = await prober.post(forms, form)
    path, blank = (it.json()["path"].removeprefix("/api/v1") for it in (link, public))
    nonce = (await anyone.get(blank)).json()["nonce"]
    answers = [link, public, await anyone.get(path), await prober.get(links), await prober.get(forms)]
    for guess in GUESSES:
        answers += [
            await anyone.patch(path, {"data": {"secret": guess}}),
            await anyone.patch(path, {"data": {"name": "Thing one"}}, headers={"if-match": '"1"'}),
            await anyone.post(blank, {"data": {"name": "x", "secret": guess}, "nonce": nonce}),
            await prober.post(forms, {**form, "presets": {"secret": guess}}),
        ]
    answers += [
        await prober.post(links, {"fields": ["secret"]}),
        await prober.post(forms, {**form, "fields": ["secret"]}),
    ]
    return answers


async def test_links_and_forms_tell_nothing_hidden(service: Service, people: People, anyone: Client) -> None:
    """Whoever has a link or a form learns no more than its owner might, whatever is asked for or sent."""
    told = []
    for hidden in (ONE, OTHER):
        found = await world(service, hidden)
        grants = [
            Grant("records", ACTIONS | {"share"}, pipeline, readable_fields=SHOWN, writable_fields=SHOWN)
            for pipeline in (found.things, found.parents)
        ]
        answers = await _through_links(people.client(*grants), anyone, found)
        assert {answer.status_code for answer in answers} <= {200, 201, 412, 422}, [it.text for it in answers]
        told.append([_TOKEN.sub("token", alike(answer)[1]) for answer in answers])
    assert told[0] == told[1]
