"""Exports that are read while they are made."""

from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import cast

import pytest

from libs.common.errors import RateLimited, Unavailable
from libs.common.ids import new_id
from services.records.usecases import exports
from services.records.usecases.caller import Caller
from services.records.usecases.exports import ExportRequest, Piece


async def pieces() -> AsyncGenerator[Piece, None]:
    """A file without an end."""
    while True:
        yield 1, b"row"


async def test_one_organization_leaves_room_for_others() -> None:
    """However slowly its exports are read, one organization does not take all the places there are."""
    tenant = new_id()
    reading = [exports._bounded(tenant, pieces()) for _ in range(exports.STREAMS_OF_TENANT)]
    for one in reading:
        await anext(one)
    with pytest.raises(RateLimited):
        await exports.stream(cast("Caller", SimpleNamespace(tenant_id=tenant)), new_id(), ExportRequest())
    other = exports._bounded(new_id(), pieces())
    assert await anext(other) == (1, b"row")
    for one in (*reading, other):
        await one.aclose()
    assert not exports._reading
    assert not exports._streams.locked()


async def test_who_reads_too_slowly_does_not_get_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot is not held for as long as somebody likes."""
    monkeypatch.setattr(exports, "STREAM_SECONDS", -1.0)
    with pytest.raises(Unavailable) as refused:
        await anext(exports._bounded(new_id(), pieces()))
    assert refused.value.code == "export-too-slow"
    assert not exports._reading
