"""`up down status logs reset dev`: the stack on this machine."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from typing import TypeAlias

import click

from ops.embedded.child import die_with_parent
from ops.stack import Stack, StackError, choice
from ops.stack.compose import ComposeStack
from ops.stack.home import PROJECT
from ops.stack.launcher import Condition

AnyStack: TypeAlias = Stack | ComposeStack


def this_stack(*, starting: bool = False) -> AnyStack:
    """The stack of this checkout, or of `MILLRACE_HOME`."""
    return choice.stack(os.environ, starting=starting)


@click.command()
def up() -> None:
    """Start all servers and services; return when they are ready."""
    _up(this_stack(starting=True))


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
    raise SystemExit(subprocess.call(this_stack().follow(names)))


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(yes: bool) -> None:
    """Stop everything and delete all data of this checkout."""
    stack = this_stack()
    if not yes:
        place = stack.home.root if isinstance(stack, Stack) else f"the volumes of {stack.folder}"
        click.confirm(f"Delete all data in {place}?", abort=True)
    stack.reset()
    choice.forget(os.environ)
    click.echo("all data is gone")


@click.command()
@click.option("--demo/--no-demo", default=True, help="Load the demo data unless it is there.")
def dev(demo: bool) -> None:
    """Start everything, load the demo, follow the logs; Ctrl-C stops the lot."""
    stack = this_stack(starting=True)
    _interrupt_when_told_to_end()
    try:
        _up(stack, tied=True)
        if demo:
            load_demo(stack)
        _follow(stack)
    except KeyboardInterrupt:
        click.echo("\nstopping …")
    finally:
        stack.down()


@click.command()
def demo() -> None:
    """Load the demo data into the running platform unless it is there."""
    load_demo(this_stack())


COMMANDS = (up, down, status, logs, reset, dev, demo)


def load_demo(stack: AnyStack) -> None:
    """Load the demo through the public API unless it is in the data."""
    if stack.demo_loaded.exists():
        return
    environ = {**os.environ, **stack.client_environ}
    if subprocess.call([sys.executable, "-m", "ops.demo", "load"], cwd=PROJECT, env=environ):
        raise StackError("The demo was not loaded; what is above says why. Again: ./taskw demo")
    stack.demo_loaded.touch()


def _up(stack: AnyStack, *, tied: bool = False) -> None:
    started = time.monotonic()
    stack.up(tied=tied)
    click.echo(f"ready in {time.monotonic() - started:.1f} s: {stack.address}/docs")


def _interrupt_when_told_to_end() -> None:
    # SIGTERM, a closed terminal and the death of `task` end this as Ctrl-C does: in order. SIGINT is named as well,
    # because a shell has it ignored by what it starts in the background.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    die_with_parent(os.getppid(), "TERM")


def _follow(stack: AnyStack) -> None:
    bound = partial(die_with_parent, os.getpid(), "TERM")
    with subprocess.Popen(stack.follow(()), preexec_fn=bound) as follower:
        follower.wait()


def _line(condition: Condition) -> str:
    ready = click.style("ready", fg="green") if condition.ready else click.style("not ready", fg="red")
    place = f"pid {condition.pid:<8} port {condition.port:<6}"
    return f"{condition.name:<10} {condition.state:<9} {place} {ready} {condition.detail}".rstrip()
