"""The platform on one machine: the embedded servers and the five services under one supervisor.

`home` says where things are, `plan` what runs and with which environment, `supervisor` speaks to
supervisord, `database` prepares PostgreSQL, `readiness` asks the services, `launcher` puts them together.
`compose` is the same in containers, on the Docker `engine`; `choice` says which of the two is meant.
"""

from ops.stack.errors import StackError
from ops.stack.launcher import Stack

__all__ = ["Stack", "StackError"]
