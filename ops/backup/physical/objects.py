"""Where an archive lies: a folder, or a bucket that speaks S3. Objects are there whole or not at all."""

import os
import shutil
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Protocol

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from libs.common.buckets import Patience, locate
from ops.backup.store import BackupFailed
from ops.environment import given

PIECE = 1024 * 1024
_PATIENCE = Patience(request=timedelta(seconds=120), retries=5, all_retries=timedelta(seconds=60))
_DRAFT = ".draft"


class Objects(Protocol):
    """Objects by key, whose parts are joined by `/`. `BackupFailed` where the store is away or a key unknown."""

    def put(self, key: str, chunks: Iterable[bytes]) -> None:
        """Keeps what comes, durably; an error of the chunks goes through and leaves nothing."""
        ...

    def get(self, key: str) -> Iterator[bytes]:
        """The bytes, in pieces."""
        ...

    def keys(self, prefix: str) -> list[str]:
        """The keys below a prefix of whole parts, in order."""
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Takes objects away; one that is not there is none to take away."""
        ...


def open_objects(url: str) -> Objects:
    """The store of `file:///folder`, or of `s3://bucket/prefix?region=…&endpoint=https://…`.

    BACKUP_S3_ACCESS_KEY and BACKUP_S3_SECRET_KEY, or without them those of the machine it runs on.
    """
    match locate(url, _PATIENCE, given("BACKUP_S3_ACCESS_KEY"), given("BACKUP_S3_SECRET_KEY")):
        case Path() as folder:
            return Folder(folder)
        case S3Store() as bucket:
            return Bucket(bucket)
    raise BackupFailed("BACKUP_ARCHIVE is file:///folder or s3://bucket/prefix")


class Folder:
    """Files below one folder; each enters by renaming once it is on the disk."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, key: str, chunks: Iterable[bytes]) -> None:
        """Keeps what comes."""
        path = self._root / key
        draft = path.with_name(path.name + _DRAFT)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with draft.open("wb") as file:
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            draft.rename(path)
            for folder in (path.parent, path.parent.parent):
                _sync(folder)
        except OSError as error:
            raise BackupFailed(f"{path}: {error}") from error
        finally:
            draft.unlink(missing_ok=True)

    def get(self, key: str) -> Iterator[bytes]:
        """The bytes, in pieces."""
        try:
            with (self._root / key).open("rb") as file:
                while piece := file.read(PIECE):
                    yield piece
        except OSError as error:
            raise BackupFailed(f"{self._root / key}: {error}") from error

    def keys(self, prefix: str) -> list[str]:
        """The keys below a prefix."""
        found = (path for path in (self._root / prefix).rglob("*") if path.is_file() and path.suffix != _DRAFT)
        return sorted(str(path.relative_to(self._root)) for path in found)

    def delete(self, keys: Iterable[str]) -> None:
        """Takes files away, and folders that are empty then."""
        for key in keys:
            path = self._root / key
            path.unlink(missing_ok=True)
            if path.parent != self._root and path.parent.is_dir() and not any(path.parent.iterdir()):
                shutil.rmtree(path.parent, ignore_errors=True)


class Bucket:
    """Objects of a bucket; what is large goes there in parts."""

    def __init__(self, store: S3Store) -> None:
        self._store = store

    def put(self, key: str, chunks: Iterable[bytes]) -> None:
        """Keeps what comes."""
        try:
            obstore.put(self._store, key, iter(chunks))
        except BaseError as error:
            raise BackupFailed(f"{key}: {error}") from error

    def get(self, key: str) -> Iterator[bytes]:
        """The bytes, in pieces."""
        try:
            for piece in obstore.get(self._store, key).stream(min_chunk_size=PIECE):
                yield bytes(piece)
        except (BaseError, FileNotFoundError) as error:
            raise BackupFailed(f"{key}: {error}") from error

    def keys(self, prefix: str) -> list[str]:
        """The keys below a prefix."""
        try:
            found = chain.from_iterable(obstore.list(self._store, prefix or None))
            return sorted(str(meta["path"]) for meta in found)
        except BaseError as error:
            raise BackupFailed(f"{prefix}: {error}") from error

    def delete(self, keys: Iterable[str]) -> None:
        """Takes objects away."""
        try:
            for key in keys:
                obstore.delete(self._store, key)
        except FileNotFoundError:
            return
        except BaseError as error:
            raise BackupFailed(str(error)) from error


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
