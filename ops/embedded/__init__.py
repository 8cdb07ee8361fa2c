"""PostgreSQL, Valkey and NATS out of their PyPI wheels, without root, Docker or a system service.

A server is a frozen description (`Postgres`, `Valkey`, `Nats`): `prepare()` makes its data directory,
`process()` says how to run it in the foreground, `ready()` asks it in its own protocol, `url` is what a
client connects to. `running(server)` starts one for a `with` block; the stack hands the same processes
to its supervisor.
"""

from ops.embedded.nats import Nats
from ops.embedded.ports import free_port
from ops.embedded.postgres import Postgres
from ops.embedded.process import Process, Spawned, spawn
from ops.embedded.server import Server, running, started
from ops.embedded.valkey import Valkey

__all__ = [
    "Nats",
    "Postgres",
    "Process",
    "Server",
    "Spawned",
    "Valkey",
    "free_port",
    "running",
    "spawn",
    "started",
]
