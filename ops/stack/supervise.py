"""The supervisor's process: `python -m ops.stack.supervise <configuration> [tied]`.

It is supervisord, told two things: its children learn its pid, so that they can notice its death (see
`ops/embedded/child.py`), and `tied` makes it stop everything in order when its own parent dies.
"""

import os
import sys

from supervisor import supervisord

from ops.embedded.child import die_with_parent


def main(configuration: str, tied: bool) -> None:
    """Become supervisord."""
    if tied:
        die_with_parent(int(os.environ["MILLRACE_PARENT"]), "TERM")
    os.environ["MILLRACE_PARENT"] = str(os.getpid())
    supervisord.main(["--configuration", configuration])


if __name__ == "__main__":
    main(sys.argv[1], "tied" in sys.argv[2:])
