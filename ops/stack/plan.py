"""What runs: which servers are ours, and the command and environment of each service."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from ops import addresses
from ops.embedded import Nats, Postgres, Process, Server, Valkey
from ops.embedded.ports import LOOPBACK
from ops.stack import archiver
from ops.stack.errors import StackError
from ops.stack.home import PROJECT, Home

SERVICES = ("auth", "pipelines", "records", "realtime")
ALL = (*SERVICES, "gateway")
SERVERS = {"postgres": "DATABASE_URL", "valkey": "REDIS_URL", "nats": "NATS_URL"}
DATABASE = "millrace"
DEFAULT_PORT = 8000
MOST = 16


@dataclass(frozen=True)
class Plan:
    """One stack: its servers, its ports, and where everything is reached.

    `services` are the processes; the further ones of a service are called `records-2` and so on.
    """

    home: Home
    ports: Mapping[str, int]
    passwords: Mapping[str, str]
    admin_url: str
    redis_url: str
    nats_url: str
    files_url: str
    servers: Mapping[str, Server]
    services: tuple[str, ...]

    @property
    def gateway_url(self) -> str:
        """Where clients come in."""
        return self.url("gateway")

    def url(self, service: str) -> str:
        """The base URL of a service."""
        return f"http://{LOOPBACK}:{self.ports[service]}"

    def dsn(self, role: str) -> str:
        """The DSN of `auth`, `pipelines`, `records`, `realtime` or `migrate`."""
        parts = urlsplit(self.admin_url)
        address = parts.netloc.rpartition("@")[2]
        return parts._replace(netloc=f"millrace_{role}:{quote(self.passwords[role], safe='')}@{address}").geturl()

    def processes(self) -> dict[str, Process]:
        """Every process of the stack, by name."""
        servers = {name: server.process() for name, server in self.servers.items()}
        return servers | {name: self._service(name) for name in self.services}

    def _service(self, name: str) -> Process:
        service = service_of(name)
        module = "gateway.main" if service == "gateway" else f"services.{service}.main"
        return Process(
            name=name,
            argv=(sys.executable, "-m", module),
            directory=PROJECT,
            env=self._environment(name),
            inherit=True,
        )

    def _environment(self, name: str) -> dict[str, str]:
        common = {
            "HOST": LOOPBACK,
            "PORT": str(self.ports[name]),
            "REDIS_URL": self.redis_url,
            "NATS_URL": self.nats_url,
            "PYTHONUNBUFFERED": "1",
        }
        service = service_of(name)
        if service == "gateway":
            return common | {f"{service.upper()}_URL": self._sockets(service) for service in SERVICES}
        sealing = {"SEALING_SECRET": self.passwords["sealing"]}
        more = {"auth": self._of_auth(), "records": self._of_records(), "realtime": sealing}
        own = {"UNIX_SOCKET": str(self.home.socket(name)), "DATABASE_URL": self.dsn(service)}
        return common | own | more.get(service, {})

    def _sockets(self, service: str) -> str:
        names = [name for name in self.services if service_of(name) == service] or [service]
        return ",".join(f"unix://{self.home.socket(name)}" for name in names)

    def _of_records(self) -> dict[str, str]:
        return {"MIGRATION_DATABASE_URL": self.dsn("migrate"), "FILES_URL": self.files_url}

    def _of_auth(self) -> dict[str, str]:
        return {
            "SIGNING_KEY_SECRET": self.passwords["signing_keys"],
            "MAIL_DIRECTORY": str(self.home.mail),
            "PUBLIC_URL": f"http://{{tenant}}.localhost:{self.ports['gateway']}",
        }


def make_plan(home: Home, environ: Mapping[str, str], services: tuple[str, ...], *, assign: bool) -> Plan:
    """The plan of a stack; `assign` chooses ports, otherwise those of the running stack are told."""
    if (kind := environ.get("STACK", "embedded")) != "embedded":
        raise StackError(f"STACK={kind}: this is for STACK=embedded; give the servers' addresses, as in NATS_URL.")
    for variable in SERVERS.values():
        if fault := addresses.fault(variable, environ.get(variable) or ""):
            raise StackError(fault)
    names = (*SERVERS, *SERVICES, *further(environ.get("PROCESSES", "")))
    ports = home.assign_ports(names, gateway_port(environ)) if assign else home.ports()
    if not ports:
        raise StackError("The stack was never started here: ./taskw up")
    passwords = home.passwords()
    postgres = Postgres(home.data / "postgres", ports["postgres"], passwords["postgres"])
    valkey = Valkey(home.data / "valkey", ports["valkey"], passwords["valkey"])
    nats = Nats(home.data / "nats", ports["nats"], passwords["nats"])
    ours: dict[str, Server] = {"postgres": postgres, "valkey": valkey, "nats": nats}
    servers = {name: server for name, server in ours.items() if not environ.get(SERVERS[name])}
    if environ.get("BACKUP_ARCHIVE") and "postgres" in servers:
        servers[archiver.NAME] = _archiver(home, environ, postgres)
    return Plan(
        home=home,
        ports=ports,
        passwords=passwords,
        admin_url=environ.get("DATABASE_URL") or postgres.dsn("postgres", postgres.password, DATABASE),
        redis_url=environ.get("REDIS_URL") or valkey.url,
        nats_url=environ.get("NATS_URL") or nats.url,
        files_url=environ.get("FILES_URL") or home.files.as_uri(),
        servers=servers,
        services=(*services, *(name for name in ports if name not in ALL and service_of(name) in services)),
    )


def service_of(process: str) -> str:
    """The service that a process is one of."""
    return process.partition("-")[0]


def further(text: str) -> list[str]:
    """The processes besides the first of each service, of `PROCESSES=records:2,auth:3`."""
    found: list[str] = []
    for item in filter(None, text.split(",")):
        service, _, count = item.strip().partition(":")
        if service not in SERVICES or not count.isdigit() or not 0 < int(count) <= MOST:
            raise StackError(f"PROCESSES={text}: give services and numbers up to {MOST}, as in records:2,realtime:2.")
        found += [f"{service}-{number}" for number in range(2, int(count) + 1)]
    return found


def _archiver(home: Home, environ: Mapping[str, str], postgres: Postgres) -> Server:
    if not environ.get("BACKUP_RECIPIENT"):
        raise StackError("BACKUP_ARCHIVE needs BACKUP_RECIPIENT: make a pair with millrace backup key")
    return archiver.Archiver(environ["BACKUP_ARCHIVE"], home.run / "spool", postgres.url)


def gateway_port(environ: Mapping[str, str]) -> int:
    """The port of the gateway: `PORT`, by default 8000."""
    given = environ.get("PORT") or str(DEFAULT_PORT)
    if not given.isdigit() or not 0 < int(given) < 65536:
        raise StackError(f"PORT={given} is not a port: give a number from 1 to 65535.")
    return int(given)
