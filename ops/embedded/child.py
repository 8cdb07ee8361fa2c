"""Become one process of the stack: `python -I -S child.py <spec.json>`.

The few lines between a supervisor's fork and the program's first instruction. The process asks the kernel
(Linux) for a signal at its parent's death, so that a killed supervisor leaves nothing behind; leaves its
pid beside the spec, for the sweep of the next start where the kernel has no such service; drops root,
because PostgreSQL refuses it; and turns into the program. Standard library only: it runs before each
process, and without the site packages it starts in a few milliseconds.
"""

import ctypes
import json
import os
import resource
import signal
import struct
import sys
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 47, 2
LINUX_CAPABILITY_VERSION_3 = 0x20080522
CAP_DAC_OVERRIDE = 1


def libc() -> Any:
    """The C library, with errno kept."""
    return ctypes.CDLL(None, use_errno=True)


def drop_to(user: dict[str, Any]) -> None:
    """Change to another user; with `reach`, keep the right to pass directories closed to that user."""
    linux = sys.platform == "linux"
    if linux and user["reach"]:
        libc().prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(user["gid"])
    os.setuid(user["uid"])
    if linux and user["reach"]:
        keep_reach()


def keep_reach() -> None:
    """Hold exactly one capability, also through exec: a checkout below /root is closed to all but root."""
    bit = 1 << CAP_DAC_OVERRIDE
    header = struct.pack("Ii", LINUX_CAPABILITY_VERSION_3, 0)
    libc().capset(header, struct.pack("6I", bit, bit, bit, 0, 0, 0))
    libc().prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


def die_with_parent(parent: int, name: str) -> None:
    """Receive the named signal when the parent dies; leave at once when it already has."""
    if sys.platform == "linux":
        libc().prctl(PR_SET_PDEATHSIG, int(getattr(signal, f"SIG{name}")), 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit(0)


def leave_pid(path: str) -> None:
    """Write the pid where the next start looks for what the last one left."""
    with open(path, "w", encoding="ascii") as file:
        file.write(str(os.getpid()))


def allow_files() -> None:
    """As many open files as the system lets us have: a socket is one."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def main(path: str) -> None:
    """Read the spec and become its program."""
    with open(path, encoding="utf-8") as file:
        spec = json.load(file)
    leave_pid(path.removesuffix(".json") + ".pid")
    os.chdir(spec["directory"])
    allow_files()
    if spec["user"]:
        drop_to(spec["user"])
    # After the change of user, which would clear it.
    die_with_parent(int(os.environ.get("MILLRACE_PARENT", os.getppid())), spec["death_signal"])
    inherited = os.environ if spec["inherit"] else {}
    os.execve(spec["argv"][0], spec["argv"], {**inherited, **spec["env"]})  # noqa: S606 - its whole purpose


if __name__ == "__main__":
    main(sys.argv[1])
