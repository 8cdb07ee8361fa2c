"""Nodes of the service in this process, sockets to them, and what auth, pipelines and records say on a real NATS."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import jwt
import msgspec
import uvicorn
from websockets.exceptions import ConnectionClosed

from libs.common import clock, events
from libs.common.bus import Bus, Outgoing
from libs.common.errors import AppError, Conflict, NotFound
from libs.common.events import NewEvent
from libs.common.ids import new_id
from libs.common.permissions import Grant, RoleGrants
from libs.common.server import Server
from millrace.client import Live
from ops.embedded import free_port
from services.realtime.main import build
from services.realtime.settings import Settings
from services.realtime.sockets.server import Sockets
from tests.support.issuer import Issuer
from tests.support.waiting import eventually, until

Json = dict[str, Any]
ROOT = Path(__file__).parents[2]


@dataclass
class Node:
    """One running node of the service."""

    port: int
    app: Sockets
    server: Server

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    async def ready(self) -> bool:
        """Whether everything that it needs is there."""
        async with httpx.AsyncClient() as client:
            return bool((await client.get(f"{self.url}/health")).json()["status"] == "ok")

    def live(self, token: str, path: str = "/api/v1/ws") -> Any:
        """A socket of a principal: `async with node.live(token) as live`."""
        return Live.open(self.url, token, path)


@asynccontextmanager
async def running_node(settings: Settings) -> AsyncIterator[Node]:
    """A node under uvicorn, as `serve` runs it, until the block ends."""
    app = build(settings)
    largest = max(settings.max_frame_bytes, settings.max_update_bytes)
    config = uvicorn.Config(
        app, port=0, http="httptools", ws="websockets-sansio", log_config=None, access_log=False, lifespan="on",
        ws_max_size=largest, ws_per_message_deflate=False, timeout_graceful_shutdown=5,
    )  # fmt: skip
    server = Server(config, app.dismiss)
    serving = asyncio.create_task(server.serve())
    try:

        async def started() -> bool:
            if serving.done():
                serving.result()
            return server.started

        await eventually(started)
        node = Node(server.servers[0].sockets[0].getsockname()[1], app, server)
        await eventually(node.ready)
        yield node
    finally:
        server.should_exit = True
        await serving


@contextmanager
def process(settings: Settings) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """A node in a process of its own: its address, and what to kill."""
    port = free_port()
    given = {name: value for name, value in msgspec.structs.asdict(settings).items() if value is not None}
    told = {
        name.upper(): str(value).lower() if value is True or value is False else str(value)
        for name, value in {**given, "port": port}.items()
    }
    command = [sys.executable, "-m", "services.realtime.main"]
    node = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **told}, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        try:
            return bool(httpx.get(f"{url}/health").json()["status"] == "ok")
        except httpx.TransportError:
            return False

    try:
        until(ready)
        yield url, node
    finally:
        node.kill()
        node.wait()


@dataclass
class World:
    """A tenant's records as the other services speak of them."""

    bus: Bus
    issuer: Issuer
    tenant: UUID
    pipelines: dict[UUID, Json] = field(default_factory=dict)
    records: dict[UUID, Json] = field(default_factory=dict)
    updates: list[Json] = field(default_factory=list)
    locks: dict[tuple[str, str], Json] = field(default_factory=dict)
    tokens: int = 0
    renewals: int = 0
    releases: int = 0
    releasing: asyncio.Event = field(default_factory=asyncio.Event)
    """Locks are let go of while it is set; `releases` counts how often that was asked."""
    texts: dict[tuple[str, str], int] = field(default_factory=dict)
    written: list[Json] = field(default_factory=list)
    opens: int = 0
    refusals: int = 0
    readers: set[str] = field(default_factory=set)
    ruled: bool = False
    counts: int = 0
    questions: int = 0
    looks: int = 0
    """How often a record was looked at in somebody's name."""
    refuse: AppError | None = None
    away: AppError | None = None

    def answer(self) -> None:
        """Begins to answer for pipelines and records."""
        self.releasing.set()
        self.bus.serve("rpc.pipelines.definition", Json, self._definition)
        self.bus.serve("rpc.records.record", Json, self._record)
        self.bus.serve("rpc.records.records", Json, self._records)
        self.bus.serve("rpc.records.states", Json, self._states)
        self.bus.serve("rpc.records.field_update", Json, self._update)
        self.bus.serve("rpc.records.lock", Json, self._lock)
        self.bus.serve("rpc.records.renew_locks", Json, self._renew)
        self.bus.serve("rpc.records.unlock", Json, self._unlock)
        self.bus.serve("rpc.records.aggregate", Json, self._aggregate)
        self.bus.serve("rpc.records.document", Json, self._document)
        self.bus.serve("rpc.records.write_document", Json, self._write_document)

    async def _definition(self, question: Json) -> Json:
        found = self.pipelines.get(UUID(question["pipeline_id"]))
        if found is None or found["tenant_id"] != question["tenant_id"]:
            raise NotFound
        return found

    def _visible(self, token: str, record_id: str) -> Json:
        self.questions += 1
        self.looks += 1
        found = self.records.get(UUID(record_id))
        if found is None or str(found["tenant_id"]) != claims(token)["tid"] or found.get("hidden"):
            raise NotFound
        return found

    async def _record(self, question: Json) -> Json:
        if self.away is not None:
            raise self.away
        return self._visible(question["token"], question["record_id"])

    async def _records(self, question: Json) -> Json:
        found: Json = {}
        for record_id in question["record_ids"]:
            with suppress(NotFound):
                found[record_id] = self._visible(question["token"], record_id)
        return found

    async def _states(self, question: Json) -> Json:
        self.questions += 1
        if self.away is not None:
            raise self.away
        wanted = [self.records.get(UUID(record_id)) for record_id in question["record_ids"]]
        found = [it for it in wanted if it is not None and str(it["tenant_id"]) == question["tenant_id"]]
        return {it["id"]: {name: it[name] for name in it.keys() - {"tenant_id", "hidden"}} for it in found}

    async def _update(self, question: Json) -> Json:
        if self.refuse is not None:
            raise self.refuse
        self.updates.append(question)
        record = self._visible(question["token"], question["record_id"])
        who = claims(question["token"])
        actor = {"id": who["sub"], "kind": who["kind"], "name": who["name"]}
        values = {question["field"]: question["value"]}
        await self.update(record, values, actor=actor, operation_id=question["operation_id"])
        return {"version": record["version"], "event": record}

    async def _lock(self, question: Json) -> Json:
        if self.refuse is not None:
            raise self.refuse
        self._visible(question["token"], question["record_id"])
        place, who = (question["record_id"], question["field"]), claims(question["token"])
        held = self.locks.get(place)
        if held is not None and held["connection"] != question["connection"]:
            raise Conflict(code="locked", extra={"field": place[1], "holder": {"id": who["sub"], "name": "Ann"}})
        if held is None:
            self.tokens += 1
            held = self.locks[place] = {"token": self.tokens, "connection": question["connection"]}
        return {"token": held["token"], "pipeline_id": str(new_id())}

    async def _renew(self, question: Json) -> Json:
        self.renewals += 1
        present = {lock["token"] for lock in self.locks.values()}
        return {"tokens": [lock["token"] for lock in question["locks"] if lock["token"] in present]}

    async def _unlock(self, question: Json) -> Json:
        self.releases += 1
        await self.releasing.wait()
        gone = [lock["token"] for lock in question["locks"]]
        self.locks = {place: lock for place, lock in self.locks.items() if lock["token"] not in gone}
        return {"tokens": gone}

    async def _aggregate(self, question: Json) -> Json:
        """The groups by one field, with `count` and `sum:score`, of the records that are not hidden."""
        self.counts += 1
        self.questions += 1
        if self.refuse is not None:
            raise self.refuse
        shown = [
            r for r in self.records.values() if r["pipeline_id"] == question["pipeline_id"] and not r.get("hidden")
        ]
        groups: dict[Any, list[Json]] = {}
        for record in shown:
            groups.setdefault(record["data"].get(question["group_by"]), []).append(record["data"])
        told = [
            {
                "group": {question["group_by"]: value},
                "metrics": {"count": len(some), "sum:score": sum(one.get("score") or 0 for one in some)},
            }
            for value, some in groups.items()
        ]
        return {"seq": self.bus.position, "groups": told}

    async def _document(self, question: Json) -> Json:
        self.opens += 1
        if self.refuse is not None:
            raise self.refuse
        record = self._visible(question["token"], question["record_id"])
        writable = claims(question["token"])["sub"] not in self.readers
        text = record["data"].get(question["field"]) or ""
        return {"pipeline_id": record["pipeline_id"], "text": text, "writable": writable, "ruled": self.ruled}

    async def _write_document(self, question: Json) -> Json:
        if self.away is not None:
            self.refusals += 1
            raise self.away
        record = self.records.get(UUID(question["record_id"]))
        if record is None:
            return {"state": "gone"}
        place = question["record_id"], question["field"]
        if question["seq"] <= self.texts.get(place, 0):
            return {"state": "older"}
        self.texts[place] = question["seq"]
        self.written.append(question)
        if record["data"].get(question["field"]) != question["text"]:
            actor = {name: question["by"][name] for name in ("id", "kind", "name")}
            operation = f"document:{question['field']}:{question['seq']}"
            await self.update(record, {question["field"]: question["text"]}, actor=actor, operation_id=operation)
        return {"state": "written"}

    def pipeline(self, *fields: Json, tenant: UUID | None = None, **more: Any) -> UUID:
        """A pipeline; without fields it has `name` (text), `score` (number) and `secret` (text)."""
        pipeline_id = new_id()
        types = {"name": "text", "score": "number", "secret": "text"}
        usual = [{"name": name, "type": kind} for name, kind in types.items()]
        self.pipelines[pipeline_id] = {
            "id": str(pipeline_id), "tenant_id": str(tenant or self.tenant), "version": 1, "slug": "p", "name": "P",
            "title_template": "{name}", "deleted": False, "fields": list(fields) or usual, **more,
        }  # fmt: skip
        return pipeline_id

    async def create(
        self, pipeline_id: UUID, tenant: UUID | None = None, *, announce: bool = True, **data: Any
    ) -> Json:
        """A record that was made, and announced if it is to be."""
        now = clock.rfc3339(clock.now())
        record = {
            "id": str(new_id()), "pipeline_id": str(pipeline_id), "version": 1, "title": data.get("name"), "data": data,
            "created_at": now, "created_by": None, "updated_at": now, "updated_by": None,
            "tenant_id": tenant or self.tenant,
        }  # fmt: skip
        self.records[UUID(record["id"])] = record
        if announce:
            await self.announce("created", record, changed=list(data))
        return record

    async def update(self, record: Json, values: Json, **more: Any) -> int:
        """Values set in a record, and announced; the position of the event."""
        old = {name: record["data"].get(name) for name in values}
        record["data"] = {**record["data"], **values}
        record["version"] += 1
        return await self.announce("updated", record, changed=list(values), old=old, **more)

    async def delete(self, record: Json) -> int:
        """A record that was deleted, and announced."""
        del self.records[UUID(record["id"])]
        return await self.announce("deleted", record)

    async def announce(self, verb: str, record: Json, **data: Any) -> int:
        """An event, as the outbox's relay publishes it."""
        shown = {name: value for name, value in record.items() if name not in ("tenant_id", "hidden")}
        actor = {"id": str(new_id()), "kind": "user", "name": "Ada"}
        body = {"record": shown, "changed": [], "old": {}, "actor": actor, **data}
        return await self.publish(record["tenant_id"], f"records.record.{verb}", record["id"], body)

    async def redefine(self, pipeline_id: UUID, **more: Any) -> None:
        """Another version of a pipeline, announced."""
        found = self.pipelines[pipeline_id]
        found.update(more, version=found["version"] + 1)
        await self.publish(UUID(found["tenant_id"]), "pipelines.pipeline.updated", str(pipeline_id), found)

    async def rename(self, pipeline_id: UUID, old: str, new: str) -> None:
        """A field that goes by another name, in the definition and in records, announced as pipelines does."""
        found = self.pipelines[pipeline_id]
        for record in self.records.values():
            if record["pipeline_id"] == str(pipeline_id) and old in record["data"]:
                record["data"][new] = record["data"].pop(old)
        fields = [{**it, "name": new if it["name"] == old else it["name"]} for it in found["fields"]]
        moves = {"job_id": str(new_id()), "version": found["version"] + 1, "moves": [{"old": old, "new": new}]}
        await self.redefine(pipeline_id, fields=fields, pending=[*found.get("pending", []), moves])

    async def publish(self, tenant: UUID, kind: str, subject: str, data: object) -> int:
        """Any event; its position."""
        raw = msgspec.Raw(msgspec.json.encode(data))
        event_id, address, payload = events.encode(tenant, NewEvent(kind, UUID(subject), raw))
        return await self.bus.publish([Outgoing(address, payload.encode(), str(event_id))])

    def token(self, *grants: Grant, tenant: UUID | None = None, **claims: Any) -> str:
        """A token of a new user with these grants; without any, everything is allowed."""
        where = tenant or self.tenant
        role = self.issuer.role(where, grants) if grants else self.issuer.role(where)
        return self.issuer.token(where, role, **claims)

    async def change_role(self, token: str, *grants: Grant) -> None:
        """Gives the token's only role other grants, and announces it."""
        role_id = UUID(claims(token)["roles"][0])
        before = self.issuer.roles[self.tenant, role_id]
        after = RoleGrants(role_id, before.slug, before.name, before.version + 1, grants)
        self.issuer.roles[self.tenant, role_id] = after
        await self.publish(self.tenant, "auth.role.updated", str(role_id), after)

    async def revoke(self, token: str, *, whole_user: bool = False) -> None:
        """Ends the token's session, or all of its user's."""
        said = claims(token)
        session = None if whole_user else said["sid"]
        data = {"session_id": session, "user_id": said["sub"], "not_before": time.time() + 1}
        await self.publish(self.tenant, "auth.session.revoked", said["sub"], data)


def claims(token: str) -> Json:
    """What a token says, unverified."""
    found: Json = jwt.decode(token, options={"verify_signature": False})
    return found


def reader(pipeline_id: UUID | None = None, **more: Any) -> Grant:
    """A grant to read records."""
    return Grant("records", ("read",), pipeline_id, **more)


async def quiet(live: Live) -> list[Json]:
    """The frames that came so far: everything before the answer to a ping that is sent now."""
    await live.send(type="ping")
    await live.expect("pong")
    frames, live.unread = live.unread, []
    return frames


async def close_code(live: Live) -> int:
    """The code that the server closes the socket with; frames before that go to `unread`."""
    with suppress(ConnectionClosed):
        async with asyncio.timeout(60):
            while True:
                live.unread.append(await live.receive())
    code = live._connection.close_code
    assert code is not None
    return code
