"""`up down status logs reset dev`: the stack on this machine."""

import os
import signal
import subprocess
import sys
import time
from functools import partial

import click

from ops.embedded.child import die_with_parent
from ops.stack import Stack, StackError
from ops.stack.home import PROJECT, Home
from ops.stack.launcher import Condition


def this_stack() -> Stack:
    """The stack of this checkout, or of `MILLRACE_HOME`."""
    return Stack(Home.of(os.environ))


@click.command()
def up() -> None:
    """Start all servers and services; return when they are ready."""
    _up(this_stack())


@click.command()
def down() -> None:
    """Stop exactly what `up` started."""
    this_stack().down()
    click.echo("stopped")


@click.command()
def status() -> None:
    """Show each process: state, pid, port, readiness."""
    conditions = this_stack().status()
    if not conditions:
        raise StackError("Nothing runs here. Start it: ./taskw up")
    for condition in sorted(conditions, key=lambda condition: condition.name):
        click.echo(_line(condition))
    if not all(condition.ready for condition in conditions):
        sys.exit(3)


@click.command()
@click.argument("names", nargs=-1)
def logs(names: tuple[str, ...]) -> None:
    """Follow the logs of all processes, or of those named."""
    raise SystemExit(subprocess.call(_tail(this_stack().home, names)))


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(yes: bool) -> None:
    """Stop everything and delete all data of this checkout."""
    stack = this_stack()
    if not yes:
        click.confirm(f"Delete all data in {stack.home.root}?", abort=True)
    stack.reset()
    click.echo("all data is gone")


@click.command()
@click.option("--demo/--no-demo", default=True, help="Load the demo data unless it is there.")
def dev(demo: bool) -> None:
    """Start everything, load the demo, follow the logs; Ctrl-C stops the lot."""
    stack = this_stack()
    _interrupt_when_told_to_end()
    try:
        _up(stack, tied=True)
        if demo:
            load_demo(stack)
        _follow(stack.home)
    except KeyboardInterrupt:
        click.echo("\nstopping …")
    finally:
        stack.down()


@click.command()
def demo() -> None:
    """Load the demo data into the running platform unless it is there."""
    load_demo(this_stack())


COMMANDS = (up, down, status, logs, reset, dev, demo)


def load_demo(stack: Stack) -> None:
    """Load the demo through the public API unless it is in the data."""
    if stack.home.demo_loaded.exists():
        return
    environ = {**os.environ, "GATEWAY_URL": stack.plan.gateway_url}
    if subprocess.call([sys.executable, "-m", "ops.demo", "load"], cwd=PROJECT, env=environ):
        raise StackError("The demo was not loaded; what is above says why. Again: ./taskw demo")
    stack.home.demo_loaded.touch()


def _up(stack: Stack, *, tied: bool = False) -> None:
    started = time.monotonic()
    plan = stack.up(tied=tied)
    click.echo(f"ready in {time.monotonic() - started:.1f} s: http://localhost:{plan.ports['gateway']}/docs")


def _interrupt_when_told_to_end() -> None:
    # SIGTERM, a closed terminal and the death of `task` end this as Ctrl-C does: in order.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    die_with_parent(os.getppid(), "TERM")


def _follow(home: Home) -> None:
    bound = partial(die_with_parent, os.getpid(), "TERM")
    with subprocess.Popen(_tail(home, ()), preexec_fn=bound) as follower:
        follower.wait()


def _tail(home: Home, names: tuple[str, ...]) -> list[str]:
    known = {path.stem: str(path) for path in sorted(home.log.glob("*.log"))}
    unknown = [name for name in names if name not in known]
    if unknown or not known:
        raise StackError(f"No log of {', '.join(unknown) or 'anything'}; there are: {', '.join(known) or 'none'}")
    return ["tail", "-n", "20", "-F", *(known[name] for name in names or known)]


def _line(condition: Condition) -> str:
    ready = click.style("ready", fg="green") if condition.ready else click.style("not ready", fg="red")
    place = f"pid {condition.pid:<8} port {condition.port:<6}"
    return f"{condition.name:<10} {condition.state:<9} {place} {ready} {condition.detail}".rstrip()
