"""Clusters on loopback: three NATS servers, three Valkey servers, PostgreSQL and a standby; each may be killed."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ops.embedded import Nats, Postgres, Valkey, free_port
from ops.embedded.postgres import FORGETFUL, SUPERUSER
from ops.embedded.process import run_to_end
from ops.embedded.server import ask
from tests.support.servers import Mortal, mortal
from tests.support.waiting import until

_MEMBER = """
server_name: "{name}"
cluster {{
  name: "test"
  listen: "127.0.0.1:{port}"
  routes: [{routes}]
}}
"""


@dataclass(frozen=True)
class NatsCluster:
    """Three NATS servers that keep streams together."""

    members: list[Mortal[Nats]]

    @property
    def url(self) -> str:
        """What clients are given: all of them."""
        return ",".join(member.server.url for member in self.members)


@contextmanager
def nats_cluster(size: int = 3) -> Iterator[NatsCluster]:
    """A cluster for the length of a block."""
    ports = [free_port() for _ in range(size)]
    routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in ports)

    def make(number: int, data: Path, port: int) -> Nats:
        more = _MEMBER.format(name=f"nats-{number}", port=ports[number], routes=routes)
        return Nats(data, port, durable=False, more=more)

    with ExitStack() as stack:
        makers = [lambda data, port, number=number: make(number, data, port) for number in range(size)]
        yield NatsCluster([stack.enter_context(mortal(maker)) for maker in makers])


SLOTS = 16384


@dataclass(frozen=True)
class ValkeyCluster:
    """Three Valkey servers in cluster mode, each with a third of the slots."""

    members: list[Mortal[Valkey]]

    @property
    def url(self) -> str:
        """What clients are given: all of them."""
        return ",".join(member.server.url for member in self.members)

    def whole(self) -> bool:
        """Whether every member says that all slots are served."""
        return all(b"cluster_state:ok" in ask(member.server.port, b"CLUSTER INFO\r\n") for member in self.members)


@contextmanager
def valkey_cluster(size: int = 3) -> Iterator[ValkeyCluster]:
    """A cluster for the length of a block."""
    buses = [free_port() for _ in range(size)]

    def make(number: int, data: Path, port: int) -> Valkey:
        more = ("cluster-enabled yes", f"cluster-port {buses[number]}", "cluster-node-timeout 1000")
        return Valkey(data, port, durable=False, more=more)

    with ExitStack() as stack:
        makers = [lambda data, port, number=number: make(number, data, port) for number in range(size)]
        cluster = ValkeyCluster([stack.enter_context(mortal(maker)) for maker in makers])
        for number, member in enumerate(cluster.members):
            first, after = SLOTS * number // size, SLOTS * (number + 1) // size
            port = member.server.port
            assert ask(port, f"CLUSTER ADDSLOTSRANGE {first} {after - 1}\r\n".encode()) == b"+OK\r\n"
            meet = f"CLUSTER MEET 127.0.0.1 {cluster.members[0].server.port} {buses[0]}\r\n"
            assert number == 0 or ask(port, meet.encode()) == b"+OK\r\n"
        until(cluster.whole)
        yield cluster


@dataclass(frozen=True)
class Pair:
    """A PostgreSQL server and a standby that follows it."""

    primary: Mortal[Postgres]
    standby: Mortal[Postgres]


@dataclass(frozen=True)
class Copy(Postgres):
    """A standby, made from a base backup of a running server."""

    of: Postgres | None = None

    def prepare(self) -> None:
        """Take the base backup."""
        assert self.of is not None
        where = ("-h", "127.0.0.1", "-p", str(self.of.port), "-U", SUPERUSER, "-w")
        self.data.mkdir(mode=0o700)
        if user := self._user():
            os.chown(self.data, user.uid, user.gid)
        options = ("-D", str(self.data), "-R", "-X", "stream", "-c", "fast", "--no-sync")
        process = self._process("pg_basebackup", *where, *options)
        run_to_end(replace(process, env={**process.env, "PGPASSWORD": self.of.password}), self.data.parent)


@contextmanager
def replicated() -> Iterator[Pair]:
    """A server and its standby for the length of a block."""
    settings = {**FORGETFUL, "wal_level": "replica", "max_wal_senders": "4", "synchronous_commit": "on"}
    following = {**settings, "hot_standby_feedback": "on", "wal_receiver_status_interval": "1s"}
    with (
        mortal(lambda data, port: Postgres(data, port, "test", settings)) as primary,
        mortal(lambda data, port: Copy(data, port, "test", following, of=primary.server)) as standby,
    ):
        yield Pair(primary, standby)
