"""Physical backups: copies of the whole cluster and every byte of its WAL, to go back to any second in between.

An archive is a folder or a bucket. Below the cluster's system identifier it has `base/<time>/base.tar.gz.age` with a
`manifest.json`, which comes last and makes it a backup; `wal/<segment>/<sha256>.age`, where the checksum is of what
is inside; and `partial/<segment>.age`, the beginning of the segment that is being written, replaced every few seconds.
"""

from ops.backup.physical.archive import Archive
from ops.backup.physical.manifest import BaseManifest
from ops.backup.physical.objects import open_objects

__all__ = ["Archive", "BaseManifest", "open_objects"]
