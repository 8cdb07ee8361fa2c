"""Going back: a base backup is unpacked and the archive's WAL is played onto it, up to a moment.

PostgreSQL itself asks for one segment after another. Its `restore_command` only leaves the name in a directory and
waits; this process, which has the key, fetches and decrypts what is asked for, so no other process sees the key.
"""

import asyncio
import os
import shlex
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from threading import Event, Thread
from typing import cast

import asyncpg

from ops.backup.physical.archive import Archive
from ops.backup.physical.sealing import Measured, opened
from ops.backup.store import BackupFailed
from ops.embedded import Postgres, free_port
from ops.embedded.process import Spawned, spawn, tail, unprivileged

_STEP = 0.02
_PATIENCE = 0.2
_SHUTDOWN_SECONDS = 900.0
_PEER = "local all all trust\n"
# Asks, and waits for the answer: the file, or that there is none.
_ASKING = """#!/bin/sh
: > "$1/$2.wanted"
while [ ! -e "$1/$2" ]; do [ -e "$1/$2.absent" ] && rm "$1/$2.absent" && exit 1; sleep 0.02; done
mv "$1/$2" "$3"
"""
_SIGNS = {
    "recovery ended before configured recovery target was reached": "the archive does not reach that far",
    "requested recovery stop point is before consistent recovery point": "the backup was not yet finished then",
}


@contextmanager
def recovered(
    archive: Archive, base: str, identity: str, target: Mapping[str, str], data: Path, **settings: str
) -> Iterator[str]:
    """A cluster as it was at a target, running for the length of the block; its DSN, on a socket that is ours alone.

    `target` has the `recovery_target…` settings of PostgreSQL; none plays all there is. Afterwards `data`, which must
    not be there before, is a cluster that was shut down in order. Raises `BackupFailed`.
    """
    manifest = archive.manifest(base)
    with tempfile.TemporaryDirectory(prefix="millrace-") as name:
        place = Path(name)
        server = Postgres(data, free_port(), "", _settings(place, target, settings))
        try:
            _unpack(archive, base, manifest.sha256, identity, data)
            _ready_to_recover(data, place)
            with _answering(archive, identity, place / "wal"), _running(server, data) as spawned:
                dsn = f"postgresql://{manifest.superuser}@/{manifest.database}?host={place}&port={server.port}"
                asyncio.run(_promoted(dsn, spawned))
                yield dsn
        except BaseException:
            shutil.rmtree(data, ignore_errors=True)
            raise


def _settings(place: Path, target: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, str]:
    # By the shell, since temporary folders of containers are often mounted `noexec`.
    asking = shlex.join(["sh", str(place / "ask"), str(place / "wal")])
    return {
        **target,
        **settings,
        "listen_addresses": "",
        "unix_socket_directories": str(place),
        "hba_file": str(place / "hba.conf"),
        "restore_command": f"{asking} %f %p",
        "recovery_target_action": "promote",
        # The standby's rules do not matter to who lets nobody in before the end.
        "hot_standby": "off",
        "archive_mode": "off",
        "ssl": "off",
    }


def _unpack(archive: Archive, base: str, sha256: str, identity: str, data: Path) -> None:
    data.mkdir(mode=0o700, parents=True)
    measured = Measured(archive.objects.get(archive.content(base)))
    source = opened(measured, identity)
    try:
        with tarfile.open(fileobj=source, mode="r|gz") as tar:
            for member in tar:
                put(tar, member, data)
        while source.read(1024 * 1024):
            pass
    except (tarfile.TarError, OSError, EOFError) as error:
        raise BackupFailed(f"{base} cannot be read: {error}") from error
    if measured.sha256 != sha256:
        raise BackupFailed(f"{base} is damaged")
    data.chmod(0o700)


def put(tar: tarfile.TarFile, member: tarfile.TarInfo, data: Path) -> None:
    """Puts a file or a folder where it belongs; a cluster has nothing else, and whoever packed this is not believed.

    `extractall(filter="data")` says the same and is not there before Python 3.11.4.
    """
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or not (member.isdir() or member.isreg()):
        raise tarfile.ExtractError(f"{member.name} is no file below the data folder")
    if member.isdir():
        (data / name).mkdir(mode=0o700, exist_ok=True)
        return
    content = tar.extractfile(member)
    assert content is not None, "a regular file has content"
    with open(data / name, "xb", opener=_privately) as file:
        shutil.copyfileobj(content, file, 1024 * 1024)


def _privately(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _ready_to_recover(data: Path, place: Path) -> None:
    (data / "recovery.signal").touch()
    (place / "hba.conf").write_text(_PEER)
    (place / "ask").write_text(_ASKING)
    (place / "wal").mkdir()
    if user := unprivileged(data):
        for root in (data, place):
            for path in (root, *root.rglob("*")):
                os.chown(path, user.uid, user.gid, follow_symlinks=False)


@contextmanager
def _answering(archive: Archive, identity: str, exchange: Path) -> Iterator[None]:
    stop, errors = Event(), cast("list[Exception]", [])

    def answer() -> None:
        while not stop.wait(_STEP):
            for wanted in exchange.glob("*.wanted"):
                wanted.unlink()
                try:
                    _hand_over(archive.segment(wanted.stem, identity), exchange, wanted.stem)
                except Exception as error:
                    errors.append(error)
                    (exchange / f"{wanted.stem}.absent").touch()

    thread = Thread(target=answer, daemon=True)
    thread.start()
    try:
        yield
    except BackupFailed as error:
        if errors:
            raise BackupFailed(f"{error}: {errors[0]}") from errors[0]
        raise
    finally:
        stop.set()
        thread.join()


def _hand_over(content: bytes | None, exchange: Path, name: str) -> None:
    if content is None:
        (exchange / f"{name}.absent").touch()
        return
    draft = exchange / f"{name}.draft"
    draft.write_bytes(content)
    if user := unprivileged(exchange):
        os.chown(draft, user.uid, user.gid)
    draft.chmod(0o600)
    draft.rename(exchange / name)


@contextmanager
def _running(server: Postgres, data: Path) -> Iterator[Spawned]:
    spawned = spawn(server.process(), data.parent)
    try:
        yield spawned
    finally:
        spawned.stop(_SHUTDOWN_SECONDS)


async def _promoted(dsn: str, spawned: Spawned) -> None:
    """Waits for the end of recovery, however long that takes."""
    while spawned.popen.poll() is None:
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            connection = await asyncpg.connect(dsn, timeout=5)
            try:
                if not await connection.fetchval("select pg_is_in_recovery()"):
                    return
            finally:
                await connection.close()
        await asyncio.sleep(_PATIENCE)
    said = tail(spawned.log, 200)
    reason = next((sentence for sign, sentence in _SIGNS.items() if sign in said), said[-2000:])
    raise BackupFailed(f"Nothing was recovered: {reason}")
