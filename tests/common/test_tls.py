"""TLS to the servers, by what the settings say, and logins that are renewed while a process runs."""

import asyncio
import signal
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
import redis

from libs.common import cache
from libs.common.bus import Bus
from libs.common.errors import Unavailable
from libs.common.postgres import Database
from libs.common.settings import ServiceSettings, SettingsError
from libs.common.tls import Certificates
from ops.embedded import Nats, Postgres, Valkey, running
from tests.support.authority import Authority, Files
from tests.support.servers import mortal
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs for all."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def files(authority: Authority) -> Files:
    """The certificate of a process."""
    return authority.issue("service")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A certificate of an authority that nobody here believes."""
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger").issue("service")


def settings(files: Files | None = None, **given: str) -> ServiceSettings:
    """Settings of a process with this certificate."""
    addresses = {"redis_url": "redis://127.0.0.1:9/0", "nats_url": "nats://127.0.0.1:9"}
    return ServiceSettings(port=0, **{**addresses, **(files.settings if files else {}), **given})  # type: ignore[arg-type]


async def test_the_database_is_reached_by_tls(postgres_server: Postgres, files: Files) -> None:
    """With `sslmode=verify-full` all that is said goes through TLS, to a server that is who it says."""
    async with tls_before(postgres_server.port, files, asked=True) as front:
        database = Database(verified(postgres_server, front.port, files.authority))
        await database.start()
        async with database.system() as connection:
            assert await connection.fetchval("select 1") == 1
        await database.stop()
        assert front.joined == 1


async def test_a_database_with_a_strangers_certificate_is_not_spoken_to(
    postgres_server: Postgres, files: Files, stranger: Files
) -> None:
    """A certificate of another authority ends the connection before anything else is said."""
    async with tls_before(postgres_server.port, stranger, asked=True) as front:
        database = Database(verified(postgres_server, front.port, files.authority))
        await database.start()
        with pytest.raises(Unavailable):
            async with database.system():
                pass
        await database.stop()
        assert front.joined == 0


def verified(server: Postgres, port: int, authority: str) -> str:
    """A DSN that believes only this authority, and only the server's own name."""
    return f"{server.url.replace(str(server.port), str(port))}?sslmode=verify-full&sslrootcert={authority}"


async def test_a_password_is_renewed_without_an_outage(postgres_server: Postgres, tmp_path: Path) -> None:
    """Between the new file and the altered role new connections still succeed, and so they do afterwards."""
    file, role = tmp_path / "dsn", f"renewed_{uuid4().hex}"

    def write(password: str) -> None:
        file.write_text(postgres_server.dsn(role, password, "postgres"))

    admin = await asyncpg.connect(postgres_server.url)
    await admin.execute(f"create role {role} login password 'old'")
    write("old")
    database = Database(file.read_text, pool_size=4)
    await database.start()

    async def fresh_connection_works() -> None:
        await (await database.connect()).close()
        await database.pool._pool.expire_connections()
        async with database.system() as connection:
            await connection.execute("select 1")

    await fresh_connection_works()
    write("new")
    await fresh_connection_works()
    await admin.execute(f"alter role {role} password 'new'")
    await fresh_connection_works()
    await fresh_connection_works()
    write("wrong")
    await admin.execute(f"alter role {role} password 'newest'")
    with pytest.raises(Unavailable):
        await database.connect()
    write("newest")
    await fresh_connection_works()
    await database.stop()
    await admin.execute(f"drop role {role}")
    await admin.close()


@pytest.fixture
def nats(authority: Authority) -> Iterator[Nats]:
    """A NATS that asks for certificates."""
    own = authority.issue("nats")
    tls = f'cert_file: "{own.certificate}", key_file: "{own.key}", ca_file: "{own.authority}", verify: true'
    with running(lambda data, port: Nats(data, port, "pass/word", durable=False, more=f"tls {{ {tls} }}\n")) as server:
        yield server


async def test_the_broker_is_reached_by_mutual_tls(nats: Nats, files: Files) -> None:
    """A process shows its certificate, believes the broker's, and logs in."""
    bus = Bus(nats.url.replace("nats://", "tls://"), "test", tls=Certificates(settings(files)).client)
    await bus.start()
    async with asyncio.timeout(60):
        await bus.ready()
    assert bus.connected
    await bus.stop()


async def test_the_broker_takes_nobody_whose_certificate_a_stranger_signed(nats: Nats, stranger: Files) -> None:
    """Such a process goes on trying and never gets in."""
    bus = Bus(nats.url, "test", tls=Certificates(settings(stranger)).client)
    await bus.start()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await bus.ready()
    await bus.stop()


async def test_a_login_to_the_broker_is_renewed_while_it_is_used() -> None:
    """When the broker takes another password, a process comes back with the one that its file has by then."""
    with mortal(lambda data, port: Nats(data, port, "old", durable=False)) as broker:
        now = [broker.server.url]
        bus = Bus(lambda: now[0], "test")
        await bus.start()
        await bus.ready()
        back = asyncio.Event()
        bus.on_reconnect(back.set)
        broker.server = Nats(broker.server.data, broker.server.port, "new", durable=False)
        broker.server.prepare()
        broker.signal(signal.SIGHUP)  # the broker ends the connections of logins that it no longer takes
        await eventually(lambda: _refused(bus))
        now[0] = broker.server.url
        async with asyncio.timeout(60):
            await back.wait()
        await eventually(lambda: _connected(bus))
        await bus.stop()


async def _refused(bus: Bus) -> bool:
    return not bus.connected


async def _connected(bus: Bus) -> bool:
    return bus.connected


@dataclass
class Front:
    """TLS in front of a server of the wheels, which are built without it: its port, and how many came through."""

    port: int
    joined: int = 0


@asynccontextmanager
async def tls_before(port: int, files: Files, *, asked: bool = False) -> AsyncIterator[Front]:
    """Such a front until the block ends; `asked` waits for PostgreSQL's SSLRequest, else certificates are asked for."""
    given = {} if asked else {"tls_client_ca_file": files.authority}
    context = Certificates(settings(files, **given)).server
    assert context is not None

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if asked:
            await reader.readexactly(8)
            writer.write(b"S")
            try:
                await writer.start_tls(context)
            except OSError:
                return
        front.joined += 1
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer), return_exceptions=True)

    server = await asyncio.start_server(join, "127.0.0.1", 0, ssl=None if asked else context)
    front = Front(server.sockets[0].getsockname()[1])
    try:
        yield front
    finally:
        server.close()


async def test_the_cache_is_reached_by_mutual_tls(valkey_server: Valkey, files: Files, stranger: Files) -> None:
    """Below `rediss://` the certificate of the process is shown, and only its authority is believed."""
    async with tls_before(valkey_server.port, files) as front:
        url = f"rediss://127.0.0.1:{front.port}/0"
        client = cache.connect(settings(files, redis_url=url), 2)
        assert await client.ping()
        await client.aclose()
        client = cache.connect(settings(stranger, redis_url=url), 2)
        with pytest.raises(redis.exceptions.ConnectionError):
            await client.ping()
        await client.aclose()


async def test_a_login_to_the_cache_is_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A connection that is made after the file was written logs in with what it says then, and nothing is logged."""
    with running(lambda data, port: Valkey(data, port, "old", durable=False)) as server:
        file = tmp_path / "redis_url"
        file.write_text(server.url)
        monkeypatch.setenv("REDIS_URL_FILE", str(file))
        client = cache.connect(settings(redis_url=server.url), 2)
        assert await client.config_set("requirepass", "n/w")
        parts = urlsplit(server.url)
        file.write_text(parts._replace(netloc=f":n%2Fw@127.0.0.1:{server.port}").geturl())
        await client.connection_pool.disconnect()
        assert await client.ping()
        await client.aclose()
    assert [record.getMessage() for record in caplog.records if record.name.startswith("redis")] == []


def test_a_certificate_without_its_key_is_refused(files: Files) -> None:
    """The error names both variables."""
    with pytest.raises(SettingsError, match="TLS_CERT_FILE and TLS_KEY_FILE"):
        Certificates(settings(tls_cert_file=files.certificate))


async def test_a_renewed_certificate_is_shown_without_a_restart(tmp_path: Path) -> None:
    """Whoever connects after the files were renewed sees the new one; a broken file leaves the old one in use."""
    own = Authority(tmp_path)
    files = own.issue("service")
    certificates = Certificates(settings(files))
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=certificates.server)
    port = server.sockets[0].getsockname()[1]
    assert await shown(port, certificates.client) == files.serial
    assert not certificates.refresh()
    old = files.serial
    assert own.issue("service").serial != old
    assert certificates.refresh()
    assert await shown(port, certificates.client) == files.serial != old
    (tmp_path / "service.crt").write_text("no certificate")
    with pytest.raises(ssl.SSLError):
        certificates.refresh()
    assert await shown(port, certificates.client) not in (None, old)
    server.close()


async def shown(port: int, context: ssl.SSLContext | None) -> int | None:
    """The number of the certificate that a server shows."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    told = writer.get_extra_info("ssl_object").getpeercert()
    writer.close()
    return int(told["serialNumber"], 16) if told else None
