"""The folder that backups are kept in."""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from ops.backup.manifest import Manifest

MANIFEST = "manifest.json"
_BLOCK = 1024 * 1024


class BackupFailed(Exception):
    """A backup could not be made, found, read or proven; the message says why."""


class Store:
    """Backups in one folder, each a directory named by its time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def folder(self) -> Path:
        """Where they are."""
        return self._folder

    def names(self) -> list[str]:
        """Whole backups, the oldest first."""
        return sorted(path.parent.name for path in self._folder.glob(f"*Z/{MANIFEST}"))

    def path(self, name: str) -> Path:
        """The directory of a backup; `latest` is the newest."""
        names = self.names()
        if name == "latest" and names:
            name = names[-1]
        if name not in names:
            raise BackupFailed(f"There is no backup {name} in {self._folder}; there are: {', '.join(names) or 'none'}")
        return self._folder / name

    @contextmanager
    def adding(self, taken_at: datetime) -> Iterator[Path]:
        """A directory to fill; it becomes a backup when the block ends well, and is gone when it does not."""
        name = taken_at.strftime("%Y%m%dT%H%M%SZ")
        draft = self._folder / f"{name}.partial"
        draft.mkdir(mode=0o700, parents=True)
        try:
            yield draft
            draft.rename(self._folder / name)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def forget(self, keep: int) -> list[str]:
        """Deletes all but the newest; returns the names of those deleted."""
        gone = self.names()[:-keep]
        for name in gone:
            shutil.rmtree(self._folder / name)
        return gone


def read_manifest(directory: Path) -> Manifest:
    """The manifest, once every file is what it says."""
    try:
        manifest = msgspec.json.decode((directory / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError) as error:
        raise BackupFailed(f"{directory.name}: the manifest cannot be read: {error}") from error
    for service, dump in manifest.services.items():
        path = directory / Path(dump.file).name
        if not path.exists() or sha256(path) != dump.sha256:
            raise BackupFailed(f"{directory.name}: the file of {service} is missing or damaged")
    return manifest


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Writes it for people as well as for `restore`."""
    (directory / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")


def sha256(path: Path) -> str:
    """The checksum of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
