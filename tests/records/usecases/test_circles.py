"""Processes look for circles of garbage seldom (`libs.common.app.RARELY`), so requests leave none."""

import gc
from types import FrameType
from typing import Any

from services.records.usecases.writing import Writer
from tests.records.support import Service


async def test_no_request_leaves_a_circle(service: Service) -> None:
    """What writes a record is gone with the request, and so are the frames of one that was refused, and what was sent
    with it.
    """
    pipeline = service.pipeline({"name": "name", "type": "text", "unique": True}, {"name": "n", "type": "number"})
    path, wrong = f"/pipelines/{pipeline}/records", {"data": {"n": "x"}}
    made = await service.client.create(pipeline, {"name": "a"})
    found: list[Any] = []
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        answers = [
            await service.client.post(path, {"data": {"name": "b"}}),
            await service.client.post(path, {"data": {"name": "a"}}),
            await service.client.post(path, wrong),
            await service.client.patch(f"{path}/{made['id']}", wrong),
            await service.client.put(f"{path}/by/name/a", wrong),
            await service.client.post(f"{path}/batch", {"operations": [{"op": "create", **wrong}] * 3}),
        ]
        gc.collect()
        found = [it for it in gc.garbage if isinstance(it, Writer) or _ours(it)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    assert [answer.status_code for answer in answers[:5]] == [201, 422, 422, 422, 422]
    assert found == []


def _ours(it: object) -> bool:
    return isinstance(it, FrameType) and "/services/records/routes/" in it.f_code.co_filename
