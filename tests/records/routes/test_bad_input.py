"""Whatever is sent, the answer is a problem document and never a failure of the service."""

from typing import Any

from tests.records.support import Service

DEEP = "[" * 2000 + "]" * 2000
NASTY: list[tuple[str, str, Any]] = [
    ("POST", "", b"{"),
    ("POST", "", b"[]"),
    ("POST", "", b'{"data": []}'),
    ("POST", "", b'{"data": {"n": 1e999}}'),
    ("POST", "", b'{"data": {"n": ' + b"9" * 500 + b"}}"),
    ("POST", "", b'{"data": {"a": "\\u0000"}}'),
    ("POST", "", b'{"data": {"a": "\\ud800"}}'),
    ("POST", "", b'{"data": {"a": ' + DEEP.encode() + b"}}"),
    ("POST", "", b'{"data": {}, "wat": 1}'),
    ("POST", "", b"\xff\xfe"),
    ("POST", "/batch", b'{"operations": [{"op": "create", "data": {"n": true}}], "atomic": true}'),
    ("POST", "/batch", b'{"operations": [1]}'),
    ("POST", "/{id}/increment", b'{"field": "n", "by": "1"}'),
    ("POST", "/{id}/increment", b'{"field": "n", "by": ' + b"9" * 400 + b"}"),
    ("POST", "/{id}/increment", b'{"field": "a", "by": 1}'),
    ("POST", "/{id}/relationships", b'{"target_pipeline": 1}'),
    ("PATCH", "/{id}", b'{"data": null}'),
    ("PATCH", "/{id}", b'[{"op": "wat", "path": ""}]'),
    ("PUT", "/by/a/", b'{"data": {}}'),
    ("GET", "/not-an-id", None),
    ("GET", "/{id}/history?cursor=-1", None),
    ("GET", "/{id}/relationships?cursor=%F0%9F%8E%88", None),
    ("GET", "?filter=" + "[" * 5000, None),
    ("GET", "?filter[n][in]=" + ",".join("1" * 2000), None),
    ("GET", "?filter[a][between]=1", None),
    ("GET", "?sort=" + ",".join("a" * 50), None),
    ("GET", "?cursor=%00", None),
    ("GET", "?cursor=%FF%FE", None),
    ("GET", "?expand=" + "a." * 200 + "a", None),
    ("GET", "/aggregate?metrics=sum:a", None),
    ("GET", "/aggregate?group_by=wat&metrics=count", None),
    ("DELETE", "/{id}?permanent=wat", None),
]


async def test_bad_input_is_a_problem_of_the_client(service: Service) -> None:
    """Whatever it is, the status is 4xx, the body a problem document, and the record is as it was."""
    pipeline = service.pipeline({"name": "a", "type": "text"}, {"name": "n", "type": "number"})
    made = await service.client.create(pipeline, {"a": "a", "n": 1})
    base = f"/pipelines/{pipeline}/records"
    for method, path, body in NASTY:
        sent = f"{method} {path[:80]} {body and body[:80]}"
        headers = {"Content-Type": "application/json"} if body else {}
        where = base + path.replace("{id}", made["id"])
        response = await service.client.call(method, where, content=body, headers=headers)
        assert 400 <= response.status_code < 500, (sent, response.text)
        assert response.headers["content-type"] == "application/problem+json", sent
        assert (await service.client.get(f"{base}/{made['id']}")).json()["version"] == 1, sent


async def test_a_long_value_in_a_path_is_one_as_any(service: Service) -> None:
    """What upserts name in their path may be long."""
    pipeline = service.pipeline({"name": "u", "type": "text", "unique": True})
    made = await service.client.put(f"/pipelines/{pipeline}/records/by/u/{'x' * 5000}", {"data": {}})
    assert made.status_code == 201


async def test_a_refusal_says_what_would_be_right(service: Service) -> None:
    """Parameters are called as in the address; options, forms and what is missing are named; no body is no JSON."""
    sizes = {"name": "size", "type": "select", "options": [{"value": "s"}, {"value": "l"}]}
    pipeline = service.pipeline(sizes, {"name": "code", "type": "text", "pattern": "^[A-Z]+$"})
    base = f"/pipelines/{pipeline}"
    told = []
    for answer in (
        await service.client.get(f"{base}/exports?format=pdf"),
        await service.client.get("/search"),
        await service.client.post(f"{base}/records", {"data": {"size": "m", "code": "a"}}),
    ):
        assert answer.status_code == 422
        told += [(fault["pointer"], fault["detail"]) for fault in answer.json()["errors"]]
    assert told == [
        ("/format", "One of csv, ndjson, xlsx is expected"),
        ("/q", "'q' is required"),
        ("/data/size", "The value is not one of the options: 's', 'l'"),
        ("/data/code", "Text that matches ^[A-Z]+$ is expected"),
    ]
    wrong = await service.client.put(f"{base}/records", {"data": {}})
    assert (wrong.status_code, {"GET", "POST"} <= set(wrong.headers["allow"].split(", "))) == (405, True)
    empty = await service.client.call("POST", f"{base}/records", content=b"")
    assert (empty.status_code, empty.json()["detail"]) == (400, "A JSON body is expected")
