"""Whatever is sent, the answer is a problem document and never a failure of the service."""

from typing import Any

import pytest

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
    ("PUT", "/by/u/" + "x" * 5000, b'{"data": {}}'),
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


@pytest.mark.parametrize(("method", "path", "body"), NASTY, ids=lambda value: str(value)[:40])
async def test_bad_input_is_a_problem_of_the_client(service: Service, method: str, path: str, body: Any) -> None:
    """The status is 4xx, the body a problem document, and the record is as it was."""
    pipeline = service.pipeline(
        {"name": "a", "type": "text"}, {"name": "n", "type": "number"}, {"name": "u", "type": "text", "unique": True}
    )
    made = await service.client.create(pipeline, {"a": "a", "n": 1})
    base = f"/pipelines/{pipeline}/records"
    where = base + path.replace("{id}", made["id"])
    headers = {"Content-Type": "application/json"} if body else {}
    response = await service.client.call(method, where, content=body, headers=headers)
    if path.startswith("/by/u/"):
        assert response.status_code == 201
        return
    assert 400 <= response.status_code < 500, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert (await service.client.get(f"{base}/{made['id']}")).json()["version"] == 1
