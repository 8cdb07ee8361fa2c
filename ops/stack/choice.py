"""Which stack is meant: the embedded one, or that of Compose.

`STACK` says it. Without it the one that was started here last is meant, as its data is there. Where none was, `up` and
`dev` take Compose if a Docker engine answers that has every image already, so that nothing is pulled or built unasked;
everything else is embedded.
"""

from collections.abc import Mapping
from pathlib import Path

from ops.stack import engine
from ops.stack.compose import ComposeStack, images, profiles
from ops.stack.errors import StackError
from ops.stack.home import Home
from ops.stack.launcher import Stack
from ops.stack.plan import SERVERS

KINDS = ("embedded", "compose")


def stack(environ: Mapping[str, str], *, starting: bool = False) -> Stack | ComposeStack:
    """The stack of this checkout, or of `MILLRACE_HOME`; `starting` remembers which it is."""
    home = Home.of(environ)
    kind = _kind(home, environ, starting)
    if starting:
        home.make()
        _memory(home).write_text(kind)
    return Stack(home, environ) if kind == "embedded" else ComposeStack(home, environ)


def forget(environ: Mapping[str, str]) -> None:
    """The next start chooses anew."""
    _memory(Home.of(environ)).unlink(missing_ok=True)


def _kind(home: Home, environ: Mapping[str, str], starting: bool) -> str:
    if given := environ.get("STACK"):
        if given not in KINDS:
            raise StackError(f"STACK={given} is not known; it is STACK=embedded or STACK=compose.")
        return given
    if _memory(home).exists():
        return _memory(home).read_text()
    elsewhere = any(environ.get(name) for name in SERVERS.values())
    if not starting or elsewhere or (home.data / "postgres").exists():
        return "embedded"
    wanted = images(ours=False, profiles=profiles(environ))
    return "compose" if engine.answers(environ) and engine.has_images(environ, wanted) else "embedded"


def _memory(home: Home) -> Path:
    return home.root / "stack"
