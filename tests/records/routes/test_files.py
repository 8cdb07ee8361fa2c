"""Files: brought, held by records, given out to who may read the field, and gone when nothing holds them."""

import asyncio
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from libs.common.ids import new_id
from libs.common.permissions import Grant
from libs.common.plans import Limits
from libs.common.postgres import Database as PoolOf
from services.records.storage.files import object_key
from services.records.storage.objects import open_store
from services.records.usecases.files import Pruner
from tests.records.support import Client, Service
from tests.support.waiting import eventually

FIELDS = [
    {"name": "name", "type": "text"},
    {"name": "photo", "type": "file", "types": ["image/*"], "max_size": 20_000},
    {"name": "papers", "type": "file", "multiple": True},
    {"name": "owner", "type": "text"},
]
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(2000)
ALL = frozenset({"read", "create", "update", "delete"})


async def bring(client: Client, pipeline: UUID, field: str, content: bytes, name: str = "a.png") -> dict[str, Any]:
    """A file that is taken."""
    answer = await client.post(f"/pipelines/{pipeline}/files", params={"field": field, "name": name}, content=content)
    assert answer.status_code == 201, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def refused(answer: Any) -> tuple[int, list[tuple[str, str]]]:
    """Status and faults of a refusal."""
    return answer.status_code, [(fault["pointer"], fault["code"]) for fault in answer.json().get("errors", ())]


async def test_a_file_is_brought_held_and_got(service: Service) -> None:
    """The bytes come back as they went, to be saved and not shown, with name, type and tag."""
    pipeline = service.pipeline(*FIELDS)
    file = await bring(service.client, pipeline, "photo", PNG, "Ein Bild äöü.png")
    assert (file["media_type"], file["size"], file["digest"]) == ("image/png", len(PNG), sha256(PNG).hexdigest())
    record = await service.client.create(pipeline, {"photo": file["id"]})
    assert record["data"] == {"photo": file["id"]}
    answer = await service.client.get(f"/pipelines/{pipeline}/files/{file['id']}")
    assert (answer.status_code, answer.content) == (200, PNG)
    told = answer.headers
    assert told["content-type"] == "image/png"
    assert told["content-disposition"].startswith("attachment; filename=\"Ein Bild ___.png\"; filename*=UTF-8''Ein%20")
    assert told["content-security-policy"].startswith("sandbox")
    assert told["x-content-type-options"] == "nosniff"
    assert (told["etag"], told["content-length"]) == (f'"{file["digest"]}"', str(len(PNG)))
    info = await service.client.get(f"/pipelines/{pipeline}/files/{file['id']}/info")
    assert info.json() == file


async def test_a_form_brings_a_file(service: Service) -> None:
    """A form's part `file` is the file, with the name it has there, without its path."""
    pipeline = service.pipeline(*FIELDS)
    files = {"file": ("../../etc/pass\\word.txt", b"hello", "image/png")}
    answer = await service.client.post(f"/pipelines/{pipeline}/files?field=papers", files=files)
    assert (answer.status_code, answer.json()["name"], answer.json()["media_type"]) == (201, "word.txt", "text/plain")


async def test_parts_and_tags(service: Service) -> None:
    """A range gives that part, a wrong one or one of another file all, a known tag nothing."""
    pipeline = service.pipeline(*FIELDS)
    file = await bring(service.client, pipeline, "papers", bytes(range(200)), "x")
    path, tag = f"/pipelines/{pipeline}/files/{file['id']}", f'"{file["digest"]}"'
    for asked, given in (
        ({"range": "bytes=10-19"}, (206, bytes(range(10, 20)), "bytes 10-19/200")),
        ({"range": "bytes=190-"}, (206, bytes(range(190, 200)), "bytes 190-199/200")),
        ({"range": "bytes=-5"}, (206, bytes(range(195, 200)), "bytes 195-199/200")),
        ({"range": "bytes=150-999"}, (206, bytes(range(150, 200)), "bytes 150-199/200")),
        ({"range": "bytes=0-0", "if-range": tag}, (206, b"\x00", "bytes 0-0/200")),
        ({"range": "bytes=0-0", "if-range": '"other"'}, (200, bytes(range(200)), None)),
        ({"range": "bytes=200-"}, (200, bytes(range(200)), None)),
        ({"range": "bytes=5-2"}, (200, bytes(range(200)), None)),
        ({"range": "lines=1"}, (200, bytes(range(200)), None)),
        ({"if-none-match": tag}, (304, b"", None)),
    ):
        answer = await service.client.get(path, headers=asked)
        assert (answer.status_code, answer.content, answer.headers.get("content-range")) == given


@pytest.mark.parametrize(
    ("content", "name", "told"),
    [
        (b"<!DOCTYPE html><script>alert(1)</script>", "a.png", "text/html"),
        (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "a.png", "image/svg+xml"),
        (b"hello", "a.png", "text/plain"),
        (b"%PDF-1.7\n", "a.png", "application/pdf"),
        (b"GIF89a" + bytes(20), "a.html", "image/gif"),
        (b"a,b\n1,2\n", "a.csv", "text/csv"),
        (
            b"PK\x03\x04" + bytes(60),
            "a.docx",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ),
        (b"MZ\x90" + bytes(200), "a.jpg", "application/x-msdownload"),
        (bytes(range(128, 256)), "a.jpg", "application/octet-stream"),
    ],
)
async def test_the_contents_tell_the_type(service: Service, content: bytes, name: str, told: str) -> None:
    """What a file is comes from its bytes; what a browser could run is given out as bytes alone."""
    pipeline = service.pipeline(*FIELDS)
    file = await bring(service.client, pipeline, "papers", content, name)
    assert file["media_type"] == told
    answer = await service.client.get(f"/pipelines/{pipeline}/files/{file['id']}")
    active = told in ("text/html", "image/svg+xml")
    assert answer.headers["content-type"].partition(";")[0] == ("application/octet-stream" if active else told)
    assert answer.headers["content-disposition"].startswith("attachment")


async def test_the_field_bounds_type_and_size(service: Service) -> None:
    """Another type, too many bytes, nothing at all, or a field that holds no files: each is refused, and told why."""
    pipeline = service.pipeline(*FIELDS)
    path = f"/pipelines/{pipeline}/files"
    post = service.client.post
    assert refused(await post(path, content=b"text")) == (422, [("/field", "required")])
    assert refused(await post(f"{path}?field=photo", content=b"text")) == (422, [("/file", "type_not_allowed")])
    assert (await post(f"{path}?field=photo", content=PNG + bytes(20_000))).status_code == 413
    assert refused(await post(f"{path}?field=papers", content=b"")) == (422, [("/file", "required")])
    assert refused(await post(f"{path}?field=name", content=b"x")) == (422, [("/field", "not_a_file")])
    assert refused(await post(f"{path}?field=other", content=b"x")) == (422, [("/field", "unknown_field")])
    assert (await post(path, content=b"x")).status_code == 422
    paper = await bring(service.client, pipeline, "papers", b"text", "a.txt")
    answer = await post(f"/pipelines/{pipeline}/records", {"data": {"photo": paper["id"]}})
    assert refused(answer) == (422, [("/data/photo", "type_not_allowed")])


class Planned(msgspec.Struct, frozen=True):
    """A tenant with a plan, as auth announces it."""

    id: UUID
    limits: Limits


async def plan(service: Service, pipeline: UUID, storage_bytes: int) -> None:
    """Limits the tenant, and waits until that is known: what the field does not take is refused before it counts."""
    told = Planned(service.tenant_id, Limits(storage_bytes=storage_bytes))
    await service.definitions.announce(service.tenant_id, "auth.tenant.updated", service.tenant_id, told)

    async def known() -> bool:
        answer = await service.client.post(f"/pipelines/{pipeline}/files?field=photo", content=b"hello")
        return bool(answer.status_code == (422 if storage_bytes else 403))

    await eventually(known)


async def test_a_plan_limits_the_bytes_of_files(service: Service) -> None:
    """As many as it allows and no more, also at once; who is refused hears which limit, and another plan holds soon."""
    pipeline = service.pipeline(*FIELDS)
    path = f"/pipelines/{pipeline}/files?field=papers"
    for limit in (0, 2 * len(PNG) + 10):
        await plan(service, pipeline, limit)
    answers = await asyncio.gather(*(service.client.post(path, content=PNG) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 403, 403]
    for answer in answers:
        if answer.status_code == 403:
            told = answer.json()
            assert (told["type"], told["limit_name"]) == ("/problems/plan-limit-reached", "storage_bytes")
            assert (told["limit"], told["current"]) == (2 * len(PNG) + 10, 2 * len(PNG))
    assert (await service.client.post(path, content=b"hello")).status_code == 201
    assert (await service.client.post(path, content=b"hello world")).status_code == 403
    await plan(service, pipeline, 3 * len(PNG) + 10)
    assert (await service.client.post(path, content=PNG)).status_code == 201


async def test_only_files_that_one_may_use_are_held(service: Service) -> None:
    """Unknown ones, another pipeline's, another's unused one are not found; one in a record one sees may be used."""
    pipeline, elsewhere = service.pipeline(*FIELDS), service.pipeline(*FIELDS)
    other = service.principal(Grant("records", ALL, pipeline), Grant("records", ALL, elsewhere))
    theirs = await bring(other, pipeline, "papers", b"theirs")
    foreign = await bring(service.client, elsewhere, "papers", b"foreign")
    path = f"/pipelines/{pipeline}/records"
    for file_id in (str(new_id()), theirs["id"], foreign["id"]):
        answer = await service.client.post(path, {"data": {"papers": [file_id]}})
        assert refused(answer) == (422, [("/data/papers", "not_found")])
    assert refused(await service.client.post(path, {"data": {"photo": "no id"}}))[0] == 422
    await other.create(pipeline, {"papers": [theirs["id"]]})
    await service.client.create(pipeline, {"papers": [theirs["id"]]})


async def test_who_reads_the_field_gets_the_file(service: Service) -> None:
    """A hidden field, a row out of sight, the trash, and a file that stands there no more: each is not found."""
    pipeline = service.pipeline(*FIELDS)
    file = await bring(service.client, pipeline, "papers", b"secret")
    path = f"/pipelines/{pipeline}/files/{file['id']}"
    reader = service.principal(Grant("records", frozenset({"read"}), pipeline))
    assert (await reader.get(path)).status_code == 404
    record = await service.client.create(pipeline, {"papers": [file["id"]], "owner": "me"})
    assert (await reader.get(path)).content == b"secret"
    hidden = Grant("records", ALL, pipeline, readable_fields=frozenset({"name", "photo"}))
    ruled = Grant("records", ALL, pipeline, row_rule={"field": "owner", "op": "eq", "value": "you"})
    for grant in (hidden, ruled, Grant("records", ALL, new_id())):
        someone = service.principal(grant)
        assert [(await someone.get(p)).status_code for p in (path, f"{path}/info")] == [404, 404]
        answer = await someone.post(f"/pipelines/{pipeline}/records", {"data": {"photo": file["id"]}})
        assert answer.status_code in (403, 422)
    stranger = Client(service.http, service.issuer.headers(new_id()))
    assert (await stranger.get(path)).status_code == 404
    assert (await service.http.get(f"/api/v1{path}")).status_code == 401
    where = f"/pipelines/{pipeline}/records/{record['id']}"
    await service.client.patch(where, {"data": {"papers": []}})
    assert (await reader.get(path)).status_code == 404
    await service.client.patch(where, {"data": {"papers": [file["id"]]}})
    assert (await reader.get(path)).status_code == 200
    await service.client.delete(where)
    assert (await reader.get(path)).status_code == 404


async def test_who_may_not_write_the_field_brings_nothing(service: Service) -> None:
    """Without a grant to write the field nothing is taken, and a field that one may not know does not exist."""
    pipeline = service.pipeline(*FIELDS)
    path = f"/pipelines/{pipeline}/files?field=photo"
    reader = service.principal(Grant("records", frozenset({"read"}), pipeline))
    assert (await reader.post(path, content=PNG)).status_code == 403
    some = frozenset({"name"})
    blind = service.principal(Grant("records", ALL, pipeline, readable_fields=some, writable_fields=some))
    assert refused(await blind.post(path, content=PNG)) == (422, [("/field", "unknown_field")])


async def test_files_go_when_nothing_holds_them(service: Service) -> None:
    """Unused for a day, or their last record deleted for good: then they and their bytes go, the others stay."""
    pipeline = service.pipeline(*FIELDS)
    unused, shared, own = [await bring(service.client, pipeline, "papers", text) for text in (b"1", b"2", b"3")]
    one = await service.client.create(pipeline, {"papers": [shared["id"], own["id"]]})
    await service.client.create(pipeline, {"papers": [shared["id"]]})
    store = open_store(service.files_url)

    async def kept() -> list[bool]:
        keys = [object_key(service.tenant_id, UUID(file["id"])) for file in (unused, shared, own)]
        return [await store.size(key) is not None for key in keys]

    database = PoolOf(service.database.dsn("records"), pool_size=2)
    await database.start()
    pruner = Pruner(database, store)
    await pruner.round()
    assert await kept() == [True, True, True]
    await service.client.delete(f"/pipelines/{pipeline}/records/{one['id']}?permanent=true")
    await _age(service)
    await pruner.round()
    assert await kept() == [False, True, False]
    assert await pruner.round() == 0
    await database.stop()
    answer = await service.client.post(f"/pipelines/{pipeline}/records", {"data": {"papers": [unused["id"]]}})
    assert refused(answer) == (422, [("/data/papers", "not_found")])


async def _age(service: Service) -> None:
    """A day goes by for what waits to be pruned."""
    connection = await asyncpg.connect(service.database.admin_dsn)
    await connection.execute("update records.file_ends set due = $1", datetime(2020, 1, 1, tzinfo=UTC))
    await connection.close()


async def test_files_are_filtered_by(service: Service) -> None:
    """Whether a field holds a file, and which."""
    pipeline = service.pipeline(*FIELDS)
    file = await bring(service.client, pipeline, "photo", PNG)
    await service.client.create(pipeline, {"name": "with", "photo": file["id"]})
    await service.client.create(pipeline, {"name": "without"})
    path = f"/pipelines/{pipeline}/records"
    for query, names in (("[is_null]=true", ["without"]), (f"={file['id']}", ["with"])):
        page = (await service.client.get(f"{path}?filter[photo]{query}")).json()
        assert [item["data"]["name"] for item in page["items"]] == names


async def test_tables_tell_the_names_of_files(service: Service) -> None:
    """In an exported table a file is its name, in lines of JSON its id."""
    pipeline = service.pipeline(*FIELDS)
    papers = [await bring(service.client, pipeline, "papers", text, name) for text, name in ((b"1", "a"), (b"2", "b"))]
    await service.client.create(pipeline, {"papers": [paper["id"] for paper in papers]})
    path = f"/pipelines/{pipeline}/exports?fields=papers&format="
    assert ",a;b," in (await service.client.get(f"{path}csv")).text
    assert papers[0]["id"] in (await service.client.get(f"{path}ndjson")).text
