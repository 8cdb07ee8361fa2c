"""Where the bytes of files, imports and exports lie: a folder, or a bucket that speaks S3.

An object is written once, under a key that nobody has used before, and is there whole or not at all. What a process was
writing when it died is under no key: in a folder a draft that the next start sweeps away, in a bucket an upload in
parts, which the bucket's own lifecycle rule ends.
"""

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol, runtime_checkable
from uuid import uuid4

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from libs.common.buckets import Patience, locate
from libs.common.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from obstore import GetOptions

PIECE: Final = 256 * 1024
DRAFTS: Final = ".drafts"
STALE_SECONDS: Final = 86_400.0
_PATIENCE: Final = Patience(request=timedelta(seconds=60), retries=3, all_retries=timedelta(seconds=20))

_KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}(/[a-z0-9][a-z0-9._-]{0,127}){0,7}")


@runtime_checkable
class ObjectStore(Protocol):
    """Objects by key: lower-case words with `.`, `_`, `-` in between, up to eight of them joined by `/`."""

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        """Keeps what comes, in constant memory; its size. An error of the chunks goes through and leaves nothing."""
        ...

    def get(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `end`, in pieces; `NotFound` before the first where there is no such object."""
        ...

    async def size(self, key: str) -> int | None:
        """How many bytes an object has; null where there is none."""
        ...

    async def delete(self, keys: Collection[str]) -> None:
        """Takes objects away; one that is not there is none to take away."""
        ...


def open_store(url: str, access_key: str | None = None, secret_key: str | None = None) -> ObjectStore:
    """The store of `file:///folder`, or of `s3://bucket/prefix?region=…&endpoint=https://…`.

    Without keys S3 takes those of the machine it runs on (instance, container or web identity).
    """
    match locate(url, _PATIENCE, access_key, secret_key):
        case Path() as folder:
            return Folder(folder)
        case S3Store() as bucket:
            return Bucket(bucket)
    raise ValueError("FILES_URL is file:///folder or s3://bucket/prefix")


class Folder:
    """Objects as files below one folder, which a draft enters by renaming once it is on the disk."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._drafts = root / DRAFTS

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        """Keeps what comes."""
        path = self._path(key)
        draft = self._drafts / uuid4().hex
        try:
            file = await asyncio.to_thread(self._begin, draft)
            try:
                size = await _fill(file, chunks)
            finally:
                await asyncio.to_thread(file.close)
            await asyncio.to_thread(_publish, draft, path, self._root)
        except OSError as error:
            raise _unavailable(error) from error
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
        return size

    async def get(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes, in pieces."""
        try:
            file = await asyncio.to_thread(self._path(key).open, "rb")
        except FileNotFoundError:
            raise NotFound("There is no such object") from None
        except OSError as error:
            raise _unavailable(error) from error
        try:
            file.seek(start)
            rest = None if end is None else end - start
            while piece := await asyncio.to_thread(file.read, PIECE if rest is None else min(PIECE, rest)):
                rest = None if rest is None else rest - len(piece)
                yield piece
        finally:
            file.close()

    async def size(self, key: str) -> int | None:
        """How many bytes an object has."""
        try:
            return (await asyncio.to_thread(self._path(key).stat)).st_size
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unavailable(error) from error

    async def delete(self, keys: Collection[str]) -> None:
        """Takes objects away."""
        try:
            await asyncio.to_thread(_remove, [self._path(key) for key in keys])
        except OSError as error:
            raise _unavailable(error) from error

    def _path(self, key: str) -> Path:
        return self._root / checked(key)

    def _begin(self, draft: Path) -> BinaryIO:
        if not self._drafts.is_dir():
            self._drafts.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sweep()
        return draft.open("xb")

    def _sweep(self) -> None:
        """Takes away drafts that nobody can still be writing."""
        before = time.time() - STALE_SECONDS
        for old in self._drafts.iterdir():
            with suppress(FileNotFoundError):
                if old.stat().st_mtime < before:
                    old.unlink()


class Bucket:
    """Objects of a bucket; what is large goes there in parts, several at a time."""

    def __init__(self, store: S3Store) -> None:
        self._store = store

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        """Keeps what comes."""
        size = 0

        async def counted() -> AsyncIterator[bytes]:
            nonlocal size
            async for chunk in chunks:
                size += len(chunk)
                yield chunk

        try:
            await obstore.put_async(self._store, checked(key), counted())
        except BaseError as error:
            raise _unavailable(error) from error
        return size

    async def get(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes, in pieces."""
        if end is not None and end <= start:
            return
        options: GetOptions = {"range": {"offset": start} if end is None else (start, end)} if start or end else {}
        try:
            found = await obstore.get_async(self._store, checked(key), options=options)
            async for piece in found.stream(min_chunk_size=PIECE):
                yield bytes(piece)
        except FileNotFoundError:
            raise NotFound("There is no such object") from None
        except BaseError as error:
            raise _unavailable(error) from error

    async def size(self, key: str) -> int | None:
        """How many bytes an object has."""
        try:
            return int((await obstore.head_async(self._store, checked(key)))["size"])
        except FileNotFoundError:
            return None
        except BaseError as error:
            raise _unavailable(error) from error

    async def delete(self, keys: Collection[str]) -> None:
        """Takes objects away."""
        try:
            await obstore.delete_async(self._store, [checked(key) for key in keys])
        except FileNotFoundError:
            return
        except BaseError as error:
            raise _unavailable(error) from error


def checked(key: str) -> str:
    """A key that leads nowhere but below the store; another one is a fault of the code that made it."""
    if _KEY.fullmatch(key) is None or ".." in key:
        raise ValueError(f"not a key of an object: {key!r}")
    return key


async def _fill(file: BinaryIO, chunks: AsyncIterator[bytes]) -> int:
    """Writes chunks in pieces large enough for a thread to be worth its while; how many bytes there were."""
    size, waiting = 0, bytearray()
    async for chunk in chunks:
        size += len(chunk)
        waiting += chunk
        if len(waiting) >= PIECE:
            await asyncio.to_thread(file.write, bytes(waiting))
            waiting.clear()
    await asyncio.to_thread(_settle, file, bytes(waiting))
    return size


def _settle(file: BinaryIO, rest: bytes) -> None:
    file.write(rest)
    file.flush()
    os.fsync(file.fileno())


def _publish(draft: Path, path: Path, root: Path) -> None:
    made = [folder for folder in _up_to(path.parent, root) if not folder.is_dir()]
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft.rename(path)
    for folder in {path.parent, *(folder.parent for folder in made)}:
        _sync(folder)


def _up_to(folder: Path, root: Path) -> Iterator[Path]:
    while folder != root:
        yield folder
        folder = folder.parent


def _remove(paths: Collection[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
    for folder in {path.parent for path in paths}:
        with suppress(FileNotFoundError):
            _sync(folder)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unavailable(error: Exception) -> Unavailable:
    unavailable = Unavailable("The store of files is away", code="files-unavailable", retry_after=5)
    unavailable.__cause__ = error
    return unavailable
