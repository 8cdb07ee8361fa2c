"""Clusters on loopback: three NATS servers, three Valkey servers, any of which a test may kill."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ops.embedded import Nats, free_port
from tests.support.servers import Mortal, mortal

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
