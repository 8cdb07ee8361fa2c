"""Searches and walks are answered alike before the framework and by it."""

from typing import Any

import httpx

from libs.common.ids import NIL, new_id
from libs.common.permissions import Grant
from tests.records.support import Service

SEARCHES = (
    "q=alpha", "q=gamma1", "q=alpah", "q=", "q=%20", "q=%FF", "q=a;b", "q=al%2Bpha", "q=alpha+beta", f"q={'x' * 300}",
    "q=alpha&q=beta", "limit=3", "q=alpha&limit=0", "q=alpha&limit=3", "q=alpha&limit=201", "q=alpha&limit=-1",
    "q=alpha&limit=", "q=alpha&limit=%D9%A3", "q=alpha&limit=5.0", "q=alpha&limit=99999", "q=alpha&pipeline_id=",
    "q=alpha&pipeline_id=x", f"q=alpha&pipeline_id={NIL}", "q=alpha&cursor=", "q=alpha&cursor=xx", "q=alpha&language=",
    "q=alpha&language=de", "q=alpha&language=xx-yy", "q=alpha&limit=2&count=exact", "q=alpah&count=estimated",
    "q=nothing&count=exact", "q=alpha&count=all",
)  # fmt: skip
WALKS = (
    "path=knows", "path=~knows", "path=knows,knows", "path=", "path=,", f"path={'a,' * 9}", "path=knows&path=x",
    "direction=out", "direction=x", "direction=", "max_depth=0", "max_depth=3", "max_depth=", "max_depth=7", "limit=0",
    "limit=1", "limit=201", "limit=%D9%A3", "cursor=", "cursor=zz", f"cursor={NIL.hex}", "count=exact", "count=none",
    "count=", "count=all", "path=knows&max_depth=1",
)  # fmt: skip
OWN = {"x-request-id", "change-seq", "content-length"}


async def test_both_ways_give_the_same_answer(service: Service) -> None:
    """Whatever is asked, well or badly put, by whoever sees only some fields, some records or nothing: status, headers
    and body are those that the framework gives, to which a parameter that nobody knows leads.
    """
    place = service.pipeline({"name": "name", "type": "text"}, {"name": "secret", "type": "text"})
    made: list[dict[str, Any]] = []
    for n in range(8):
        near = {"target_pipeline": str(place), "relationship_type": "knows"}
        related = [{**near, "target_record": made[-1]["id"]}] if made else []
        data = {"name": f"alpha {n} beta", "secret": f"gamma{n}"}
        made.append(await service.client.create(place, data, relationships=related))
    some = service.principal(
        Grant(
            "*", ("read",), readable_fields=frozenset({"name"}), row_rule={"field": "secret", "op": "neq", "value": ""}
        ),
        Grant("*", ("read",), row_rule={"field": "name", "op": "contains", "value": "7"}),
    )
    counted = (await service.client.get("/search?q=alpha&limit=3&count=exact")).json()
    assert (len(counted["items"]), counted["count"]) == (3, 8)
    paths = [f"/search?{asked}" for asked in SEARCHES]
    paths += [f"/records/{made[-1]['id']}/traverse?{asked}" for asked in WALKS]
    paths += [f"/records/{known}/traverse?limit=5" for known in ("x", new_id())]
    for who in (some, service.principal(Grant("*", ("read",), pipeline_id=new_id()))):
        for path in paths:
            assert told(await who.get(path)) == told(await who.get(f"{path}&also=1")), path


def told(response: httpx.Response) -> tuple[int, dict[str, str], dict[str, Any]]:
    """An answer, but for what is its own each time."""
    body = response.json()
    headers = {name: value for name, value in response.headers.items() if name not in OWN}
    return (
        response.status_code,
        headers,
        {name: it for name, it in body.items() if name not in ("request_id", "instance")},
    )
