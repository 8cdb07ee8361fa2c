"""The stores of objects: a folder, and a bucket of a server that speaks S3."""

import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from libs.common.errors import NotFound, Unavailable
from services.records.storage.objects import DRAFTS, STALE_SECONDS, ObjectStore, open_store
from tests.support import s3

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """The URL of a server that speaks S3."""
    with s3.serving() as url:
        yield url


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """Each of the two kinds."""
    if request.param == "folder":
        return open_store(f"file://{tmp_path}/files")
    server = request.getfixturevalue("s3_server")
    return open_store(f"s3://objects/some/prefix?endpoint={server}", "key", "secret")


async def pieces(*given: bytes) -> AsyncIterator[bytes]:
    for piece in given:
        yield piece


async def whole(store: ObjectStore, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([piece async for piece in store.get(key, start, end)])


async def test_what_is_put_is_got_in_whole_and_in_part(store: ObjectStore) -> None:
    """The bytes come back as they went in, and any range of them."""
    assert await store.put("files/a/one", pieces(b"hello ", b"", b"world")) == 11
    assert await whole(store, "files/a/one") == b"hello world"
    assert await whole(store, "files/a/one", 6) == b"world"
    assert await whole(store, "files/a/one", 2, 5) == b"llo"
    assert await store.size("files/a/one") == 11


async def test_large_and_empty_objects(store: ObjectStore) -> None:
    """Eleven megabytes in small pieces are one object, and no pieces at all are an empty one."""
    assert await store.put("large", pieces(*[bytes([n % 256]) * 100_000 for n in range(115)])) == 11_500_000
    assert await whole(store, "large", 11_499_999) == bytes([114])
    assert await store.put("empty", pieces()) == 0
    assert await whole(store, "empty") == b""


async def test_an_error_on_the_way_leaves_nothing(store: ObjectStore) -> None:
    """Where the source breaks off, its error goes through and there is no object."""

    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 6 * MIB
        raise RuntimeError("the client has gone")

    with pytest.raises(RuntimeError, match="the client has gone"):
        await store.put("half", broken())
    assert await store.size("half") is None


async def test_what_is_absent_is_not_found(store: ObjectStore) -> None:
    """Getting raises, the size is null, and deleting is done already."""
    with pytest.raises(NotFound):
        await whole(store, "files/never")
    assert await store.size("files/never") is None
    await store.put("files/there", pieces(b"x"))
    await store.delete(["files/there", "files/never"])
    assert await store.size("files/there") is None


@pytest.mark.parametrize(
    "key", ["../secret", "a/../b", "/etc/passwd", "a//b", "", "A", ".drafts/x", "a/..", "a\0b", "a\n"]
)
async def test_a_key_leads_nowhere_else(store: ObjectStore, key: str) -> None:
    """A key that could leave the store is refused before anything is touched."""
    with pytest.raises(ValueError, match="not a key"):
        await store.put(key, pieces(b"x"))


async def test_a_store_that_is_away_says_so(tmp_path: Path) -> None:
    """A bucket that nobody answers for and a folder that is none are unavailable, not a crash."""
    (tmp_path / "file").touch()
    for url in ("s3://files?endpoint=http://127.0.0.1:1", f"file://{tmp_path}/file"):
        with pytest.raises(Unavailable):
            await open_store(url, "key", "secret").put("a", pieces(b"x"))


async def test_drafts_of_the_dead_are_swept_away(tmp_path: Path) -> None:
    """A draft that is a day old goes at the next write, one that may still be written to stays."""
    store = open_store(f"file://{tmp_path}")
    await store.put("one", pieces(b"x"))
    old, new = tmp_path / DRAFTS / "old", tmp_path / DRAFTS / "new"
    for draft in (old, new):
        draft.touch()
    before = time.time() - STALE_SECONDS - 60
    os.utime(old, (before, before))
    await store.put("two", pieces(b"x"))
    assert (old.exists(), new.exists()) == (False, True)


@pytest.mark.parametrize("url", ["ftp://x/y", "file://host/folder", "s3:///nothing", "", "folder"])
def test_another_address_is_refused(url: str) -> None:
    """Only a folder or a bucket is a store."""
    with pytest.raises(ValueError, match="FILES_URL"):
        open_store(url)
