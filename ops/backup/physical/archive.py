"""What an archive holds: base backups, segments of WAL, and the rule by which they are forgotten."""

import hashlib
import re
from datetime import UTC, datetime, timedelta

import msgspec

from ops.backup.physical.manifest import BaseManifest
from ops.backup.physical.objects import Objects
from ops.backup.physical.sealing import open_small, seal_small
from ops.backup.store import BackupFailed

FORMAT = 1
_SEGMENT = re.compile(r"[0-9A-F]{24}")
_TIMELINE_DIGITS = 8


class Archive:
    """Everything of one cluster, known by its system identifier."""

    def __init__(self, objects: Objects, system: str) -> None:
        self.objects = objects
        self.system = system

    def bases(self) -> list[str]:
        """The names of whole base backups, the oldest first."""
        keys = self.objects.keys(f"{self.system}/base")
        return [key.split("/")[-2] for key in keys if key.endswith("/manifest.json")]

    def manifest(self, name: str) -> BaseManifest:
        """The manifest of a base backup."""
        content = b"".join(self.objects.get(f"{self._base(name)}/manifest.json"))
        try:
            return msgspec.json.decode(content, type=BaseManifest)
        except msgspec.MsgspecError as error:
            raise BackupFailed(f"{name}: the manifest cannot be read: {error}") from error

    def content(self, name: str) -> str:
        """The key of a base backup's tar file."""
        return f"{self._base(name)}/base.tar.gz.age"

    def finish(self, name: str, manifest: BaseManifest) -> None:
        """Makes what was put there a backup."""
        encoded = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
        self.objects.put(f"{self._base(name)}/manifest.json", [encoded])

    def before(self, moment: datetime | None) -> str:
        """The newest base backup from which a moment can be reached; none: the newest."""
        for name in reversed(self.bases()):
            if moment is None or self.manifest(name).taken_at <= moment:
                return name
        raise BackupFailed(f"There is no physical backup from before {moment or 'now'}")

    def keep(self, segment: str, content: bytes, recipient: str) -> None:
        """Keeps a whole segment, or a history file of a timeline; again is as good as once.

        Raises `BackupFailed` where another content has that name: two servers write into one archive.
        """
        key = f"{self.system}/wal/{segment}/{hashlib.sha256(content).hexdigest()}.age"
        there = self.objects.keys(f"{self.system}/wal/{segment}")
        if there and there != [key]:
            raise BackupFailed(f"{segment} is in the archive with another content: does a second server write to it?")
        if not there:
            self.objects.put(key, [seal_small(content, recipient)])
        self.objects.delete([self._partial(segment)])

    def keep_partial(self, segment: str, content: bytes, recipient: str) -> None:
        """Keeps what there is so far of the segment that is being written."""
        self.objects.put(self._partial(segment), [seal_small(content, recipient)])

    def segment(self, name: str, identity: str) -> bytes | None:
        """The content of a segment or history file, in part where there is no more of it; null where there is none."""
        whole = self.objects.keys(f"{self.system}/wal/{name}")
        if not whole:
            if self._partial(name) not in self.objects.keys(f"{self.system}/partial"):
                return None
            return open_small(b"".join(self.objects.get(self._partial(name))), identity)
        content = open_small(b"".join(self.objects.get(whole[0])), identity)
        if hashlib.sha256(content).hexdigest() != whole[0].split("/")[-1].removesuffix(".age"):
            raise BackupFailed(f"{name} is damaged")
        return content

    def forget(self, keep: int | None, days: int | None) -> list[str]:
        """Deletes old base backups and the WAL that none of the kept ones needs; returns the names of those deleted.

        The newest `keep` stay, and those of the last `days` with the one before them, so that every moment of those
        days can be gone back to; the newest stays always. Pieces of backups that broke off go as well.
        """
        names = self.bases()
        if not names or (keep is None and days is None):
            return []
        kept = set(names[-(keep or 1) :]) | self._of_last(days or 0, names)
        gone = [name for name in names if name not in kept]
        oldest = min(kept)
        bases = self.objects.keys(f"{self.system}/base")
        old = [key for key in bases if (name := key.split("/")[-2]) not in kept and name < max(kept)]
        # The manifest first: what is half deleted is no backup.
        self.objects.delete(sorted(old, key=lambda key: not key.endswith("manifest.json")))
        self.objects.delete(self._older(self.manifest(oldest).first))
        return gone

    def _of_last(self, days: int, names: list[str]) -> set[str]:
        since = (datetime.now(UTC) - timedelta(days=days)).strftime("%Y%m%dT%H%M%SZ")
        within = [name for name in names if name >= since]
        return {*within, *[name for name in names if name < since][-1:]}

    def _older(self, first: str) -> list[str]:
        # Whatever the timeline: a branch begins within the one before it.
        keys = [key for kind in ("wal", "partial") for key in self.objects.keys(f"{self.system}/{kind}")]
        found = ((key, _SEGMENT.search(key)) for key in keys)
        return [key for key, match in found if match and match[0][_TIMELINE_DIGITS:] < first[_TIMELINE_DIGITS:]]

    def _base(self, name: str) -> str:
        return f"{self.system}/base/{name}"

    def _partial(self, segment: str) -> str:
        return f"{self.system}/partial/{segment}.age"


def archives(objects: Objects) -> list[Archive]:
    """The archives of all clusters in a store, the one with the newest backup last."""
    found = [Archive(objects, system) for system in sorted({key.split("/")[0] for key in objects.keys("")})]
    return sorted(found, key=lambda archive: archive.bases()[-1:])


def is_segment(name: str) -> bool:
    """Whether a file name is one of WAL."""
    return _SEGMENT.fullmatch(name) is not None
