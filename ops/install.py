"""Makes `.venv` and installs the locked dependencies: `python ops/install.py <checkout> <stamp>`, called by taskw.

The stamp is written last, so an interrupted install is done again; a file lock keeps two at once apart.
Runs before anything is installed, hence the standard library alone.
"""

import fcntl
import importlib.util
import shutil
import subprocess
import sys
import time
from pathlib import Path

NEEDED_BYTES = 1_500_000_000
NO_NETWORK = "The package index cannot be reached: check the network (and a proxy's settings), then run this again."
NO_DISK = "The disk is full: the dependencies need about 1.5 GB."
# What pip says → what to tell. In order; the first that fits.
REASONS = {
    "No space left on device": NO_DISK,
    "DO NOT MATCH THE HASHES": "A downloaded package is not the locked one; nothing of it was installed.",
    "Failed to establish a new connection": NO_NETWORK,
    "Name or service not known": NO_NETWORK,
    "Temporary failure in name resolution": NO_NETWORK,
    "ProxyError": NO_NETWORK,
    "ConnectionError": NO_NETWORK,
    "timed out": NO_NETWORK,
    "from versions: none": "The package index does not offer a locked package for this system and Python; see the log.",
}


class CannotInstall(Exception):
    """The install failed; the message is one sentence that says why and what to do."""


def main(root: Path, stamp: str) -> None:
    """Install unless another process has done so meanwhile."""
    with (root / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_installed(root, stamp):
            install(root, stamp)


def is_installed(root: Path, stamp: str) -> bool:
    """Whether the stamp of this lock file is there."""
    path = root / ".venv" / "installed"
    return path.exists() and path.read_text().strip() == stamp


def install(root: Path, stamp: str) -> None:
    """The virtual environment, what is locked, the project itself, and at last the stamp."""
    check_machine(root)
    started = time.monotonic()
    print("taskw: installing the locked dependencies into .venv; this happens once …", file=sys.stderr, flush=True)
    venv = root / ".venv"
    (venv / "installed").unlink(missing_ok=True)
    log = root / ".venv.log"
    log.unlink(missing_ok=True)
    if not usable(venv):
        run([sys.executable, "-m", "venv", "--clear", str(venv)], log)
    pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    locked = ["--require-hashes", "--only-binary", ":all:", "--retries", "2", "-r", str(root / "requirements.lock")]
    run([*pip, *locked], log)
    run([*pip, "--no-index", "--no-deps", "--no-build-isolation", "-e", str(root)], log)
    (venv / "installed").write_text(stamp + "\n")
    print(f"taskw: installed in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


def check_machine(root: Path) -> None:
    """Raise what can be known before anything is done."""
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise CannotInstall("Python's module venv is missing: on Debian and Ubuntu, apt install python3-venv.")
    if not (root / ".venv" / "bin").exists() and shutil.disk_usage(root).free < NEEDED_BYTES:
        raise CannotInstall(NO_DISK)


def usable(venv: Path) -> bool:
    """Whether there is a virtual environment whose Python still works and is the one we run on."""
    version = "import sys; import pip; print(sys.version_info[:2])"
    try:
        found = subprocess.run([str(venv / "bin" / "python"), "-c", version], capture_output=True, text=True)
    except OSError:
        return False
    return found.stdout.strip() == str(sys.version_info[:2])


def run(command: list[str], log: Path) -> None:
    """Run a command with its output in the log; raise why it failed."""
    with log.open("a") as output:
        code = subprocess.call(command, stdout=output, stderr=output)
    if code:
        raise CannotInstall(explain(log.read_text(errors="replace")) + f" (log: {log.name})")


def explain(said: str) -> str:
    """The sentence for a failed install."""
    for sign, sentence in REASONS.items():
        if sign in said:
            return sentence
    errors = [line for line in said.splitlines() if "error" in line.lower()]
    return f"The install failed: {(errors or said.splitlines() or ['no output'])[-1].strip()}"


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2])
    except CannotInstall as error:
        sys.exit(f"taskw: {error}")
    except KeyboardInterrupt:
        sys.exit("taskw: interrupted; run it again to go on")
    except OSError as error:
        sys.exit(f"taskw: {NO_DISK}" if error.errno == 28 else f"taskw: {error}")
