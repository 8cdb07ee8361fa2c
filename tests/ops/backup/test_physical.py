"""A cluster goes back to any second that its archive covers, and what is kept is enough for that."""

import asyncio
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from ops.backup import BackupFailed, Table
from ops.backup.physical import Archive, BaseManifest, open_objects
from ops.backup.physical.recover import put
from ops.backup.physical.stream import State, end_of, state_of
from ops.embedded import Postgres, free_port
from ops.embedded.process import Spawned
from ops.embedded.server import started
from ops.stack.home import PROJECT
from tests.ops.backup.test_backup import IDENTITY, RECIPIENT, migrated, millrace
from tests.support import s3
from tests.support.postgres import PASSWORDS
from tests.support.waiting import eventually, until

SETTINGS = {"fsync": "off", "shared_buffers": "32MB"}
TENANT = uuid4()
WRITERS = 3
RECEIVED = "select write_lsn >= $1::text::pg_lsn from pg_stat_replication where state = 'streaming'"


@dataclass
class Load:
    """Rows that were written, by id: when each was begun, and when it was acknowledged."""

    dsn: str
    begun: dict[UUID, datetime] = field(default_factory=dict)
    acknowledged: dict[UUID, datetime] = field(default_factory=dict)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Writers write until the block ends, or the server does."""
        tasks = [asyncio.create_task(self._write()) for _ in range(WRITERS)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def more(self, rows: int = 200) -> datetime:
        """Wait until so many more were acknowledged; the time then."""
        goal = len(self.acknowledged) + rows

        async def reached() -> bool:
            return len(self.acknowledged) >= goal

        await eventually(reached)
        return datetime.now(UTC)

    async def _write(self) -> None:
        connection = await asyncpg.connect(self.dsn)
        try:
            while True:
                row = uuid4()
                self.begun[row] = datetime.now(UTC)
                async with connection.transaction():
                    await connection.execute("select set_config('app.tenant_id', $1, true)", str(TENANT))
                    await connection.execute(
                        "insert into inbox (tenant_id, consumer, event_id) values ($1, 'load', $2)", TENANT, row
                    )
                self.acknowledged[row] = datetime.now(UTC)
        finally:
            connection.terminate()

    def up_to(self, moment: datetime) -> tuple[set[UUID], set[UUID]]:
        """What had been acknowledged by a moment, and what had not been begun."""
        before = {row for row, at in self.acknowledged.items() if at <= moment}
        return before, {row for row, at in self.begun.items() if at > moment}


@pytest.fixture
def cluster(tmp_path: Path) -> Postgres:
    """A server as it is run for users, but for the power cuts."""
    return Postgres(tmp_path / "cluster" / "data", free_port(), PASSWORDS["migrate"], SETTINGS)


@contextmanager
def running(server: Postgres) -> Iterator[Spawned]:
    """The server for the length of a block."""
    server.prepare()
    process = started(server)
    try:
        yield process
    finally:
        process.stop()


@contextmanager
def streaming(spool: Path, environ: dict[str, str]) -> Iterator[None]:
    """`millrace backup stream` for the length of a block."""
    given = {**os.environ, "MILLRACE_HOME": "/nonexistent", "BACKUP_RECIPIENT": RECIPIENT, **environ}
    run = [sys.executable, "-c", "from ops.cli import main; main()", "backup", "stream", "--every", "0.2"]
    with subprocess.Popen([*run, "--spool", str(spool)], env=given, cwd=PROJECT, stdout=subprocess.DEVNULL) as popen:
        try:
            until(lambda: state_of(spool))
            yield
        finally:
            popen.send_signal(signal.SIGTERM)
            assert popen.wait(30) == 0


async def rows(server: Postgres) -> set[UUID]:
    """The rows of the load that are there."""
    connection = await asyncpg.connect(server.dsn("postgres", server.password, "postgres"))
    found = await connection.fetch("select event_id from records.inbox where consumer = 'load'")
    await connection.close()
    return {row["event_id"] for row in found}


async def archived(server: Postgres, spool: Path) -> None:
    """Wait until the archive has all that is written now."""
    connection = await asyncpg.connect(server.url)
    written = await connection.fetchval("select pg_current_wal_flush_lsn()::text")

    async def received() -> bool:
        return bool(await connection.fetchval(RECEIVED, written))

    await eventually(received)
    await connection.close()
    moment = time.time()
    await eventually(lambda: _later(spool, moment))


async def _later(spool: Path, moment: float) -> bool:
    state: State | None = state_of(spool)
    return state is not None and state.at > moment


async def test_a_destroyed_cluster_goes_back_to_a_second(cluster: Postgres, tmp_path: Path) -> None:
    """Under load, with its data folder gone: every write acknowledged by then is there and none begun later; twice."""
    environ = {"ADMIN_DATABASE_URL": cluster.url, "BACKUP_ARCHIVE": (tmp_path / "archive").as_uri()}
    spool, load = tmp_path / "spool", Load(cluster.dsn("millrace_records", PASSWORDS["records"], "postgres"))
    with running(cluster) as process:
        await migrated(cluster)
        with streaming(spool, environ):
            async with load.at_work():
                await load.more()
                made = await asyncio.to_thread(millrace, "backup", "--physical", **environ)
                assert made.returncode == 0, made.stderr
                moment = await load.more()
                await load.more()
                await archived(cluster, spool)
                process.popen.kill()
            process.popen.wait()
            shutil.rmtree(cluster.data)
    to = ("--to", moment.isoformat(), "--data", str(cluster.data))
    done = await asyncio.to_thread(millrace, "restore", *to, BACKUP_IDENTITY=str(IDENTITY), **environ)
    assert done.returncode == 0, done.stderr
    there, not_there = load.up_to(moment)
    with running(cluster):
        found = await rows(cluster)
        assert there - found == set()
        assert found & not_there == set()
        with streaming(spool, environ):
            second = Load(load.dsn)
            async with second.at_work():
                await second.more(50)
            await archived(cluster, spool)
        again = ("--to", "latest", "--data", str(cluster.data))
        replace = ("restore", *again, "--replace")
        runs = await asyncio.to_thread(millrace, *replace, BACKUP_IDENTITY=str(IDENTITY), **environ)
        assert (runs.returncode, f"port {cluster.port}): stop" in runs.stderr) == (1, True), runs.stderr
    refused = await asyncio.to_thread(millrace, "restore", *again, BACKUP_IDENTITY=str(IDENTITY), **environ)
    assert "--replace puts it aside" in refused.stderr
    done = await asyncio.to_thread(millrace, *replace, BACKUP_IDENTITY=str(IDENTITY), **environ)
    assert done.returncode == 0, done.stderr
    with running(cluster):
        assert await rows(cluster) >= found | second.acknowledged.keys()
        assert await rows(cluster) & not_there == set()


async def test_a_base_backup_is_proven_by_its_rows(cluster: Postgres, tmp_path: Path) -> None:
    """`verify` restores one that was taken under load and finds what was counted; a lost segment is noticed."""
    environ = {"ADMIN_DATABASE_URL": cluster.url, "BACKUP_ARCHIVE": (tmp_path / "archive").as_uri()}
    spool, load = tmp_path / "spool", Load(cluster.dsn("millrace_records", PASSWORDS["records"], "postgres"))
    with running(cluster):
        await migrated(cluster)
        refused = await asyncio.to_thread(millrace, "backup", "--physical", **environ)
        assert "start: millrace backup stream" in refused.stderr
        with streaming(spool, environ):
            async with load.at_work():
                await load.more(50)
                made = await asyncio.to_thread(millrace, "backup", "--physical", **environ)
                assert made.returncode == 0, made.stderr
                await load.more(50)
                await archived(cluster, spool)
    proven = await asyncio.to_thread(
        millrace, "backup", "verify", "--physical", BACKUP_IDENTITY=str(IDENTITY), **environ
    )
    assert "restores to what was backed up" in proven.stdout, proven.stderr
    listed = await asyncio.to_thread(millrace, "backup", "list", **environ)
    assert "physical" in listed.stdout
    (system,) = (tmp_path / "archive").iterdir()
    assert not any(b"load" in path.read_bytes() for path in system.rglob("*.age"))
    shutil.rmtree(system / "wal")
    lost = await asyncio.to_thread(millrace, "backup", "verify", "--physical", BACKUP_IDENTITY=str(IDENTITY), **environ)
    assert "does not reach that far" in lost.stderr


@pytest.mark.parametrize(
    ("name", "kind"),
    [("../out", tarfile.REGTYPE), ("/out", tarfile.REGTYPE), ("in", tarfile.SYMTYPE), ("in", tarfile.LNKTYPE)],
)
def test_what_is_no_file_of_a_cluster_is_not_unpacked(name: str, kind: bytes, tmp_path: Path) -> None:
    """Whoever can write to the archive cannot make a restore write anywhere but below the data folder."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/passwd"
    with tarfile.open(fileobj=io.BytesIO(), mode="w") as tar, pytest.raises(tarfile.TarError):
        put(tar, member, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(params=["folder", "bucket"])
def archive(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """An archive of each kind of store."""
    monkeypatch.setenv("BACKUP_S3_ACCESS_KEY", "key")
    monkeypatch.setenv("BACKUP_S3_SECRET_KEY", "secret")
    if request.param == "folder":
        return Archive(open_objects(f"file://{tmp_path}/archive"), "7000")
    server = request.getfixturevalue("s3_server")
    return Archive(open_objects(f"s3://objects/{uuid4().hex}?endpoint={server}"), "7000")


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """The URL of a server that speaks S3."""
    with s3.serving() as url:
        yield url


def base(archive: Archive, taken_at: datetime, first: str) -> str:
    """A base backup in name alone."""
    name = taken_at.strftime("%Y%m%dT%H%M%SZ")
    archive.objects.put(archive.content(name), [b"tar"])
    archive.finish(
        name,
        BaseManifest(
            1, taken_at, "18", "postgres", "millrace", RECIPIENT, first, 3, "", "", {"records": {"r": Table(1, "2")}}
        ),
    )
    return name


def segment(number: int, timeline: int = 1) -> str:
    """The name of a segment."""
    return f"{timeline:08X}{0:08X}{number:08X}"


def segments(archive: Archive) -> set[str]:
    """The names of those in the archive."""
    return {key.split("/")[2] for key in archive.objects.keys("7000/wal")}


def test_no_segment_goes_that_a_kept_backup_needs(archive: Archive) -> None:
    """Retention by count keeps the newest and all WAL from the oldest of them on, on every timeline."""
    for number in range(1, 10):
        archive.keep(segment(number), b"wal %d" % number, RECIPIENT)
    archive.keep(segment(5, 2), b"branch", RECIPIENT)
    archive.keep("00000002.history", b"1 0/5 no reason", RECIPIENT)
    start = datetime.now(UTC) - timedelta(days=20)
    names = [base(archive, start + timedelta(days=day), segment(2 + 2 * day)) for day in range(4)]
    archive.objects.put("7000/base/20200101T000000Z/base.tar.gz.age", [b"broken off"])
    assert archive.forget(None, None) == []
    assert archive.forget(2, None) == names[:2]
    assert archive.bases() == names[2:]
    assert segments(archive) == {*(segment(number) for number in (6, 7, 8, 9)), "00000002.history"}
    assert not [key for key in archive.objects.keys("7000/base") if "20200101" in key]
    assert archive.forget(1, None) == names[2:3]
    assert archive.forget(1, None) == []


def test_every_moment_of_the_kept_days_can_be_gone_back_to(archive: Archive) -> None:
    """Retention by age keeps the backup before the first of those days as well."""
    now = datetime.now(UTC)
    for number in range(1, 10):
        archive.keep(segment(number), b"wal %d" % number, RECIPIENT)
    names = [base(archive, now - timedelta(days=days), segment(10 - days)) for days in (9, 6, 3, 1)]
    assert archive.forget(None, 5) == names[:1]
    assert archive.before(now - timedelta(days=5)) == names[1]
    assert segments(archive) == {segment(number) for number in range(4, 10)}
    with pytest.raises(BackupFailed, match="no physical backup from before"):
        archive.before(now - timedelta(days=8))


def test_a_segment_is_kept_once_and_comes_back_whole(archive: Archive) -> None:
    """Again is as good as once, another content is refused, a part counts until the whole is there."""
    archive.keep_partial(segment(7), b"begin", RECIPIENT)
    assert archive.segment(segment(7), str(IDENTITY)) == b"begin"
    for _ in range(2):
        archive.keep(segment(7), b"whole", RECIPIENT)
    assert archive.segment(segment(7), str(IDENTITY)) == b"whole"
    assert archive.objects.keys("7000/partial") == []
    assert archive.segment(segment(8), str(IDENTITY)) is None
    with pytest.raises(BackupFailed, match="second server"):
        archive.keep(segment(7), b"other", RECIPIENT)
    (key,) = archive.objects.keys("7000/wal")
    content = bytearray(b"".join(archive.objects.get(key)))
    content[-1] ^= 1
    archive.objects.put(key, [bytes(content)])
    with pytest.raises(BackupFailed, match="cannot be decrypted"):
        archive.segment(segment(7), str(IDENTITY))


def test_positions_at_the_ends_of_segments() -> None:
    """The end of the last segment of a log file is the beginning of the next."""
    assert end_of("000000010000000000000001", 16 * 1024**2) == "0/2000000"
    assert end_of("0000000200000003000000FF", 16 * 1024**2) == "4/0"
