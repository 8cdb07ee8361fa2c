"""Bytes on their way into age and out of it, in constant memory."""

import gzip
import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator
from threading import Thread
from typing import IO

import pyrage

from ops.backup.physical.objects import PIECE
from ops.backup.store import BackupFailed


def sealed(source: IO[bytes], recipient: str) -> Iterator[bytes]:
    """What a file holds, encrypted."""
    whom = [pyrage.x25519.Recipient.from_str(recipient)]
    return _piped(lambda into: pyrage.encrypt_io(source, into, whom))


def opened(chunks: Iterable[bytes], identity: str) -> IO[bytes]:
    """A file of what was encrypted; reading raises `BackupFailed` where it is damaged or not ours."""
    me = [pyrage.x25519.Identity.from_str(identity)]
    return Chunks(_piped(lambda into: pyrage.decrypt_io(Chunks(chunks), into, me)))


def seal_small(content: bytes, recipient: str) -> bytes:
    """A piece that fits into memory, compressed and encrypted."""
    return bytes(pyrage.encrypt(gzip.compress(content, 1), [pyrage.x25519.Recipient.from_str(recipient)]))


def open_small(content: bytes, identity: str) -> bytes:
    """The way back; `BackupFailed` where it is damaged or not ours."""
    try:
        return gzip.decompress(pyrage.decrypt(content, [pyrage.x25519.Identity.from_str(identity)]))
    except (pyrage.DecryptError, pyrage.IdentityError, OSError, EOFError) as error:
        raise BackupFailed(f"cannot be decrypted: {error}") from error


class Chunks(io.RawIOBase, IO[bytes]):
    """A file to read from, made of pieces."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fills a buffer, as far as the next piece goes."""
        while not self._rest:
            piece = next(self._chunks, None)
            if piece is None:
                return 0
            self._rest = piece
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


class Measured:
    """Pieces that are counted and summed up on their way."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self._digest = hashlib.sha256()
        self.bytes = 0

    @property
    def sha256(self) -> str:
        """The checksum of what has gone by, in hexadecimal digits."""
        return self._digest.hexdigest()

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._digest.update(chunk)
            self.bytes += len(chunk)
            yield chunk


def _piped(work: Callable[[IO[bytes]], None]) -> Iterator[bytes]:
    reading, writing = os.pipe()
    errors: list[Exception] = []

    def run() -> None:
        with os.fdopen(writing, "wb") as into:
            try:
                work(into)
            except Exception as error:
                errors.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    with os.fdopen(reading, "rb", buffering=0) as source:
        while piece := source.read(PIECE):
            yield piece
    thread.join()
    if errors:
        if isinstance(errors[0], BackupFailed):
            raise errors[0]
        raise BackupFailed(f"cannot be encrypted or decrypted: {errors[0]}") from errors[0]
