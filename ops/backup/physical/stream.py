"""Streaming a server's WAL into an archive, for as long as it lives.

`pg_receivewal` writes segments into a spool; whole ones are encrypted and kept, then forgotten here, and only then is
the server's slot let go on. So a spool may be lost at any time: the next start takes up where the archive ends. The
segment that is being written goes to the archive as well, every few seconds.
"""

import asyncio
import os
import signal
import subprocess
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Event

import asyncpg
import msgspec
import structlog

from ops.backup import programs
from ops.backup.physical.archive import Archive, is_segment
from ops.backup.physical.base import SLOT, system_of
from ops.backup.physical.objects import Objects
from ops.backup.store import BackupFailed
from ops.embedded.child import die_with_parent
from ops.embedded.postgres import PROGRAMS

STATE = "state.json"
_STEP = 0.1
_PAUSE = 1.0
_PATIENCE = 10.0
_FAILURES = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, BackupFailed)
log = structlog.get_logger()

_MAKE = """
    select pg_create_physical_replication_slot($1, true)
    where not exists (select from pg_replication_slots where slot_name = $1)
"""
_BEGIN = "select pg_walfile_name(restart_lsn) from pg_replication_slots where slot_name = $1 and wal_status <> 'lost'"
_SIZE = "select pg_size_bytes(current_setting('wal_segment_size'))::int"
_ADVANCE = """
    select pg_replication_slot_advance(slot_name, $2::text::pg_lsn) from pg_replication_slots
    where slot_name = $1 and restart_lsn < $2::text::pg_lsn
"""


class State(msgspec.Struct, frozen=True):
    """Until when the archive had everything, and the file in which that was."""

    at: float
    segment: str


class Streaming:
    """One server, one archive, one spool that is nobody else's."""

    def __init__(self, dsn: str, recipient: str, objects: Objects, spool: Path, every: float) -> None:
        self._dsn, self._recipient, self._objects = dsn, recipient, objects
        self._spool, self._every = spool, every
        self._size = 0
        self._archive: Archive | None = None
        self._shipped: tuple[str, int] = ("", 0)
        self._looked = 0.0

    def run(self, stop: Event) -> None:
        """Until told to stop; what fails is tried again."""
        (self._spool / STATE).unlink(missing_ok=True)
        while not stop.is_set():
            try:
                self._session(stop)
            except _FAILURES as error:
                log.warning("the archive gets no WAL", error=str(error))
            stop.wait(_PAUSE)

    def _session(self, stop: Event) -> None:
        self._ship_rest()
        self._archive, first = asyncio.run(self._slot())
        self._clear(first)
        command = [str(PROGRAMS / "pg_receivewal"), "--directory", str(self._spool), "--no-loop", "--status-interval=1"]
        bound = partial(die_with_parent, os.getpid(), "TERM")
        environ = programs.environment(self._dsn)
        del environ["PGDATABASE"]
        receiving = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, preexec_fn=bound)
        log.info("streaming WAL", system=self._archive.system, first=first)
        try:
            while receiving.poll() is None and not stop.is_set():
                self._ship(self._archive)
                stop.wait(_STEP)
        finally:
            self._end(receiving)
        self._ship_rest()
        if not stop.is_set():
            assert receiving.stderr is not None
            raise BackupFailed(receiving.stderr.read().decode(errors="replace").strip()[-500:])

    def _ship_rest(self) -> None:
        """What came before it ended, also when the server is no more."""
        if self._archive:
            self._looked = 0.0
            self._ship(self._archive)

    async def _slot(self) -> tuple[Archive, str]:
        connection = await asyncpg.connect(self._dsn, timeout=10)
        try:
            await connection.execute(_MAKE, SLOT)
            first = await connection.fetchval(_BEGIN, SLOT)
            if first is None:
                await connection.execute("select pg_drop_replication_slot($1)", SLOT)
                raise BackupFailed("The server has thrown WAL away that the archive does not have: take a base backup")
            self._size = await connection.fetchval(_SIZE)
            return Archive(self._objects, await system_of(connection)), first
        finally:
            await connection.close()

    def _clear(self, first: str) -> None:
        """Lets it begin with a segment: the spool's newest file says where."""
        self._spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self._spool.iterdir():
            path.unlink()
        (self._spool / f"{first}.partial").touch(mode=0o600)
        self._shipped = ("", 0)

    def _ship(self, archive: Archive) -> None:
        whole = sorted(path for path in self._spool.iterdir() if path.suffix in ("", ".history"))
        for path in whole:
            archive.keep(path.name, path.read_bytes(), self._recipient)
            self._tell(path.name, time.time())
        if time.monotonic() - self._looked >= self._every:
            self._looked = time.monotonic()
            self._ship_partial(archive)
        segments = [path.name for path in whole if is_segment(path.name)]
        for path in whole:
            path.unlink()
        if segments:
            with suppress(OSError, asyncpg.PostgresError):
                asyncio.run(self._advance(segments[-1]))

    def _ship_partial(self, archive: Archive) -> None:
        now = time.time()
        for path in sorted(self._spool.glob("*.partial"))[-1:]:
            name, changed = path.stem, path.stat().st_mtime_ns
            if path.stat().st_size != self._size:
                return
            if (name, changed) != self._shipped:
                archive.keep_partial(name, path.read_bytes(), self._recipient)
                self._shipped = (name, changed)
            self._tell(name, now)

    async def _advance(self, segment: str) -> None:
        connection = await asyncpg.connect(self._dsn, timeout=10)
        try:
            await connection.execute(_ADVANCE, SLOT, end_of(segment, self._size))
        finally:
            await connection.close()

    def _tell(self, segment: str, at: float) -> None:
        draft = self._spool / f".{STATE}.partial.draft"
        draft.write_bytes(msgspec.json.encode(State(at, segment)))
        draft.rename(self._spool / STATE)

    def _end(self, receiving: subprocess.Popen[bytes]) -> None:
        if receiving.poll() is None:
            receiving.send_signal(signal.SIGINT)
        try:
            receiving.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            receiving.kill()
            receiving.wait()


def end_of(segment: str, size: int) -> str:
    """The position in the WAL at which a segment ends."""
    high, low = int(segment[8:16], 16), int(segment[16:24], 16)
    position = (high << 32) + (low + 1) * size
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def state_of(spool: Path) -> State | None:
    """How far the archive of a spool is; null where none has been told yet."""
    try:
        return msgspec.json.decode((spool / STATE).read_bytes(), type=State)
    except (OSError, msgspec.MsgspecError):
        return None
