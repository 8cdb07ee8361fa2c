"""The `millrace` command asks services through their doors and says in a sentence what went wrong."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import asyncpg
import msgspec
import pytest
from click.testing import CliRunner

from libs.common.bus import Bus
from libs.common.errors import Conflict, NotFound
from ops.cli import millrace as cli
from ops.stack import StackError
from ops.stack.home import PROJECT, Home
from tests.support.postgres import Database


class NewTenant(msgspec.Struct, forbid_unknown_fields=True):
    """What `tenant create` asks."""

    name: str
    slug: str
    domain: str


class NewUser(msgspec.Struct, forbid_unknown_fields=True):
    """What `user create` asks."""

    tenant: str
    email: str
    name: str
    password: str
    role: str


def millrace(*arguments: str, typed: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    given = {**os.environ, "MILLRACE_HOME": "/nonexistent", **environ}
    run = [sys.executable, "-c", "from ops.cli import main; main()", *arguments]
    return subprocess.run(run, env=given, cwd=PROJECT, input=typed, capture_output=True, text=True, timeout=240)


async def test_tenant_create_asks_auth(bus: Bus, nats_url: str) -> None:
    """The slug is the first label of the domain, and the answer is told in a line."""
    asked: list[NewTenant] = []

    async def answer(question: NewTenant) -> dict[str, str]:
        asked.append(question)
        return {"id": "1", "slug": question.slug}

    bus.serve("rpc.auth.admin.create_tenant", NewTenant, answer)
    done = await in_thread("tenant", "create", "Demo Company", "demo.localhost", NATS_URL=nats_url)
    assert done.stdout == "tenant demo 1\n", done.stderr
    assert asked == [NewTenant("Demo Company", "demo", "demo.localhost")]


async def test_a_made_up_password_is_printed_and_a_given_one_is_not(bus: Bus, nats_url: str) -> None:
    """Only who let the command choose a password is told one."""
    asked: list[NewUser] = []

    async def answer(question: NewUser) -> dict[str, str]:
        asked.append(question)
        return {"id": "1"}

    bus.serve("rpc.auth.admin.create_user", NewUser, answer)
    command = ("user", "create", "--tenant", "demo", "--email", "ann@example.com", "--role", "owner")
    chosen = await in_thread(*command, NATS_URL=nats_url)
    given = await in_thread(*command, NATS_URL=nats_url, MILLRACE_PASSWORD="given by the caller")
    assert chosen.stdout == f"user ann@example.com 1\npassword {asked[0].password}\n"
    assert given.stdout == "user ann@example.com 1\n"
    assert asked[1] == NewUser("demo", "ann@example.com", "ann", "given by the caller", "owner")


class Reseal(msgspec.Struct, omit_defaults=True):
    """From where `keys reseal` goes on."""

    after: dict[str, int] = {}


async def test_keys_reseal_asks_until_the_end(bus: Bus, nats_url: str) -> None:
    """Both services in batches, with a sum each; what no secret opens fails, and so do instances that differ."""
    marks = iter(["one", "one", "one", "two"])

    async def auth(question: Reseal) -> dict[str, object]:
        at = question.after.get("table", 0)
        return {"resealed": 2, "unreadable": at, "mark": next(marks), "after": {"table": 1} if at == 0 else None}

    async def realtime(_: Reseal) -> dict[str, object]:
        return {"resealed": 0, "unreadable": 0, "mark": "x", "after": None}

    bus.serve("rpc.auth.admin.reseal", Reseal, auth)
    bus.serve("rpc.realtime.admin.reseal", Reseal, realtime)
    done = await in_thread("keys", "reseal", NATS_URL=nats_url)
    assert done.stdout.splitlines() == [
        "auth: 4 sealed anew, 1 that no line of SIGNING_KEY_SECRET opens",
        "realtime: 0 sealed anew, 0 that no line of SEALING_SECRET opens",
    ]
    assert (done.returncode, done.stderr) == (1, "What cannot be opened was left as it is\n")
    done = await in_thread("keys", "reseal", NATS_URL=nats_url)
    assert (done.returncode, "restart all" in done.stderr) == (1, True)


@pytest.mark.parametrize("error", [Conflict("The domain is taken"), NotFound("No such tenant")])
async def test_a_refusal_is_a_sentence(bus: Bus, nats_url: str, error: Exception) -> None:
    """What auth refuses is told in its words, without a traceback, and the command fails."""

    async def answer(_: NewTenant) -> None:
        raise error

    bus.serve("rpc.auth.admin.create_tenant", NewTenant, answer)
    done = await in_thread("tenant", "create", "Demo", "demo.localhost", NATS_URL=nats_url)
    assert (done.returncode, done.stderr) == (1, f"{error}\n")


def test_nobody_to_ask_says_what_to_look_at(nats_url: str) -> None:
    """Without auth on the bus the user is sent to the status."""
    done = millrace("keys", "rotate", NATS_URL=nats_url)
    assert done.returncode == 1
    assert "./taskw status" in done.stderr
    assert "Traceback" not in done.stderr


def test_commands_of_a_stack_that_never_ran_say_so(tmp_path: Path) -> None:
    """Before the first start there is nothing to show, and the way to start is told."""
    done = millrace("status", MILLRACE_HOME=str(tmp_path))
    assert (done.returncode, done.stderr) == (1, "Nothing runs here. Start it: ./taskw up\n")


def test_reset_asks_before_it_deletes(tmp_path: Path) -> None:
    """Data goes only after a yes, typed or given as an option."""
    kept = tmp_path / "data" / "kept"
    kept.parent.mkdir()
    kept.touch()
    assert millrace("reset", typed="n\n", MILLRACE_HOME=str(tmp_path)).returncode == 1
    assert kept.exists()
    assert millrace("reset", "--yes", MILLRACE_HOME=str(tmp_path)).returncode == 0
    assert not kept.exists()


def test_logs_of_an_unknown_process_name_those_there_are(tmp_path: Path) -> None:
    """A name without a log is answered with the names that have one."""
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "auth.log").touch()
    done = millrace("logs", "auht", MILLRACE_HOME=str(tmp_path))
    assert (done.returncode, done.stderr) == (1, "No log of auht; there are: auth\n")


async def test_outbox_status_counts_what_waits(database: Database) -> None:
    """Each service with an outbox has a line."""
    connection = await asyncpg.connect(database.admin_dsn)
    statement = "select table_schema from information_schema.tables where table_name = 'outbox' order by 1"
    owners = [row[0] for row in await connection.fetch(statement)]
    await connection.close()
    done = await in_thread("outbox", "status", DATABASE_URL=database.admin_dsn)
    assert sorted(line.split()[:2] for line in done.stdout.splitlines()) == [[owner, "0"] for owner in owners]


async def test_migrate_finds_nothing_to_do_on_a_migrated_database(database: Database) -> None:
    """Migrating twice changes nothing."""
    done = await in_thread("migrate", MIGRATION_DATABASE_URL=database.dsn("migrate"))
    assert {line.partition(": ")[2] for line in done.stdout.splitlines()} == {"nothing to do"}, done.stderr


async def test_doctor_names_a_server_that_is_away() -> None:
    """A named server that does not answer fails the check and is named with the way out."""
    done = await in_thread("doctor", NATS_URL="nats://127.0.0.1:9", PORT="18999")
    assert done.returncode == 1
    assert "start that server, or unset NATS_URL" in done.stdout


async def in_thread(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command while the event loop goes on answering."""
    return await asyncio.to_thread(millrace, *arguments, **environ)


@pytest.mark.parametrize(
    ("given", "environ", "told"),
    [
        ("audit verify demo --after abc", {}, "--after"),
        ("audit verify demo --expect 12", {}, "--expect"),
        ("tenant delete demo --yes --grace-days nan", {}, "--grace-days"),
        ("tenant limits demo --records 9223372036854775808", {}, "--records"),
        ("backup stream --every 0", {}, "--every"),
        ("backup --folder pyproject.toml list", {}, "--folder"),
        ("migrate --service auth --to 9999", {}, "go up to"),
        ("deploy record  --environment x", {}, "VERSION"),
        ("deploy record a\x07 --environment x", {}, "VERSION"),
        ("outbox status", {"DATABASE_URL": "postgresql://a:secret@host:port/x"}, "DATABASE_URL is no address"),
        ("keys rotate", {"NATS_URL": "nats://a:secret@[::1"}, "NATS_URL is no address"),
        ("migrate", {"MIGRATION_DATABASE_URL": "secret"}, "MIGRATION_DATABASE_URL is no address"),
        ("migrate", {"MIGRATION_DATABASE_URL_FILE": sys.executable}, "MIGRATION_DATABASE_URL_FILE cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_told(
    given: str, environ: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong argument or address ends with the name of it, no traceback and nothing of a password; no one is asked."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(cli, given.split(" "))
    assert (done.exit_code, told in done.output, "secret" in done.output) == (2, True, False), done.output


@pytest.mark.parametrize(
    ("given", "environ"),
    [
        ("up", {"STACK": "embedded", "MILLRACE_HOME": "/dev/null"}),
        ("up", {"STACK": "embedded", "REDIS_URL": "valkey"}),
        ("migrate", {"MIGRATION_DATABASE_URL": "postgresql://a:b@127.0.0.1:1/x?sslmode=maybe"}),
        ("bootstrap", {"MIGRATION_DATABASE_URL": "postgresql://other:b@127.0.0.1:1/x"}),
    ],
)
def test_what_does_not_work_out_is_a_sentence(given: str, environ: dict[str, str]) -> None:
    """What is found only on the way ends the whole command with one line and failure."""
    done = millrace(*given.split(), **environ)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr


@pytest.mark.parametrize("name", ["ports.json", "secrets"])
def test_a_damaged_file_of_the_stack_is_named(name: str, tmp_path: Path) -> None:
    """What the stack keeps of itself and cannot read is told by its path."""
    (tmp_path / "ports.json").write_text("{}")
    (tmp_path / name).write_text("{")
    with pytest.raises(StackError, match=name):
        Home(tmp_path).ports() or Home(tmp_path).passwords()
