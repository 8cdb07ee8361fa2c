"""What the platform is measured against: plain ASGI on uvicorn, plain SQL by asyncpg, no tenants, no rights, no events.

`python -m ops.bench.bare` with `PORT`, `DATABASE_URL` and, if wanted, `UNIX_SOCKET`. Paths below `/api/` answer without
a database.
"""

import os
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import msgspec
import uvicorn

from libs.common.server import Server

COLUMNS = "id, pipeline_id, version, title, data, created_at, created_by, updated_at, updated_by"
_COLUMNS_AS_TEXT = "id::text, pipeline_id::text, version, title, data::text, created_at, created_by::text, updated_at"
READ = f"select {_COLUMNS_AS_TEXT} from bench.records where tenant_id = $1::text::uuid and id = $2::text::uuid"  # noqa: S608
LIST = f"""
select {_COLUMNS_AS_TEXT} from bench.records where tenant_id = $1::text::uuid and pipeline_id = $2::text::uuid
order by records.id limit 50
"""  # noqa: S608
FILTER = f"""
select {_COLUMNS_AS_TEXT} from bench.records
where tenant_id = $1::text::uuid and pipeline_id = $2::text::uuid and (data->'elevation')::numeric >= 8000
order by (data->'elevation')::numeric desc, records.id limit 50
"""  # noqa: S608
CREATE = f"""
insert into bench.records (tenant_id, id, pipeline_id, version, title, data, created_at, created_by, updated_at)
values ($1::text::uuid, uuidv7(), $2::text::uuid, 1, '', $3::text::jsonb, now(), $1::text::uuid, now())
returning {_COLUMNS_AS_TEXT}
"""  # noqa: S608
PATCH = f"""
update bench.records set data = data || $3::text::jsonb, version = version + 1, updated_at = now()
where tenant_id = $1::text::uuid and id = $2::text::uuid returning {_COLUMNS_AS_TEXT}
"""  # noqa: S608

# What `ops.bench.scale` asks, over the platform's own rows: no tenant's policy stands in the superuser's way.
SCALE = f"""
select {_COLUMNS_AS_TEXT} from bench.scale
where tenant_id = $1::text::uuid and pipeline_id = $2::text::uuid and (data->'score')::numeric >= 900
order by (data->'score')::numeric desc, scale.id limit 50
"""  # noqa: S608
EXPAND = """
select r.id::text, r.data::text, c.data::text as company, t.data::text as team
from (
    select * from bench.scale where tenant_id = $1::text::uuid and pipeline_id = $2::text::uuid order by id limit 50
) r
left join records.records c on c.tenant_id = r.tenant_id and c.id = (r.data->>'company')::uuid
left join records.records t on t.tenant_id = r.tenant_id and t.id = (r.data->>'team')::uuid
"""
# What `ops.bench.search` asks: words that begin so, the best first.
SEARCH = f"""
select {_COLUMNS_AS_TEXT} from bench.words
where tenant_id = $1::text::uuid and document @@ to_tsquery('simple', $2 || ':*')
order by ts_rank(document, to_tsquery('simple', $2 || ':*')) desc, words.id limit 20
"""  # noqa: S608
# The same for words with a slip: titles that are spelt alike.
SIMILAR = f"""
select {_COLUMNS_AS_TEXT} from bench.words
where tenant_id = $1::text::uuid and title operator(extensions.%) $2
order by extensions.similarity(title, $2) desc, words.id limit 20
"""  # noqa: S608
_HOP = """
select distinct e.{far}_id as id from {place} near join records.edges e
    on e.tenant_id = $1::text::uuid and e.{near}_id = near.id and e.type = '{kind}'
"""


def _hops(*kinds: str, near: str, far: str) -> str:
    """Plain SQL for the records some steps away."""
    hops = ["h0 as (select $2::text::uuid as id)"]
    for n, kind in enumerate(kinds):
        hops.append(f"h{n + 1} as ({_HOP.format(place=f'h{n}', kind=kind, near=near, far=far)})")
    return f"""
    with {", ".join(hops)} select r.id::text, r.title, r.data::text from h{len(kinds)} reached
    join records.records r on r.tenant_id = $1::text::uuid and r.id = reached.id order by r.id limit 200
    """  # noqa: S608


MANY = {
    "scale": SCALE,
    "search": SEARCH,
    "similar": SIMILAR,
    "expand": EXPAND,
    "two-hops": _hops("belongs_to", "works_in", near="target", far="source"),
    "three-hops": _hops("knows", "knows", "knows", near="source", far="target"),
    "list": LIST,
    "filter": FILTER,
}
PAYLOAD = b'{"type":"record_updated","channel":"pipeline:bench","seq":%d,"record":{"data":{"text":"%s"}}}'
_encode = msgspec.json.Encoder().encode

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Bare:
    """The application. Paths: `/<tenant>/read/<id>`, `create/<pipeline>`, `patch/<id>`, those of `MANY` with a
    pipeline or record; `/broadcast/<frames>/<bytes>` sends to every socket.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._pool: Any = None
        self._sockets: set[Send] = set()
        self._trivial = _encode({"items": [], "next_cursor": None})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._socket(receive, send)
        else:
            await self._lifespan(receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, body = 200, self._trivial
        parts = scope["path"].split("/")
        if parts[1] == "broadcast":
            await self._broadcast(int(parts[2]), int(parts[3]))
        elif parts[1] != "api":
            status, body = await self._stored(*parts[1:], receive=receive)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _stored(self, tenant: str, what: str, which: str, *, receive: Receive) -> tuple[int, bytes]:
        async with self._pool.acquire() as connection:
            if what == "read":
                return 200, _one(await connection.fetchrow(READ, tenant, which))
            if what in MANY:
                return 200, _many(await connection.fetch(MANY[what], tenant, which))
            body = msgspec.json.decode(await _body(receive))
            statement = CREATE if what == "create" else PATCH
            row = await connection.fetchrow(statement, tenant, which, _encode(body["data"]).decode())
            return (201 if what == "create" else 200), _one(row)

    async def _socket(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        self._sockets.add(send)
        while (await receive())["type"] != "websocket.disconnect":
            pass
        self._sockets.discard(send)

    async def _broadcast(self, frames: int, size: int) -> None:
        filling = b"x" * max(0, size - len(PAYLOAD))
        for seq in range(frames):
            message = {"type": "websocket.send", "text": (PAYLOAD % (seq, filling)).decode()}
            for socket in self._sockets:
                await socket(message)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self._pool = await asyncpg.create_pool(self._dsn, min_size=10, max_size=10)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._pool.close()
        await send({"type": "lifespan.shutdown.complete"})


def _one(row: Any) -> bytes:
    return _encode(_shape(row))


def _many(rows: list[Any]) -> bytes:
    return _encode({"items": [_shape(row) for row in rows], "next_cursor": None})


def _shape(row: Any) -> dict[str, Any]:
    return {**row, "data": msgspec.Raw(row["data"].encode())}


async def _body(receive: Receive) -> bytes:
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


if __name__ == "__main__":
    config = uvicorn.Config(
        Bare(os.environ["DATABASE_URL"]), host="127.0.0.1", port=int(os.environ["PORT"]), loop="uvloop",
        http="httptools", ws="websockets-sansio", log_config=None, access_log=False, ws_per_message_deflate=False,
    )  # fmt: skip
    Server(config, unix_socket=os.environ.get("UNIX_SOCKET")).run()
