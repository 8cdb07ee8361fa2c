import json
import logging as standard
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from libs.common import logging, tracing

ROOT = Path(__file__).parents[2]


@pytest.fixture
def configure() -> Iterator[Callable[[], None]]:
    """Sets logging up as a service has it; taken back afterwards."""
    root = standard.getLogger()
    handlers, level = root.handlers[:], root.level
    # Called by the test itself: capsys gives each phase of a test another stdout.
    yield lambda: logging.configure("records", "info")
    structlog.reset_defaults()
    root.handlers, root.level = handlers, level
    logging.begin()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What was logged."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_line_is_json_with_its_context(configure: Callable[[], None], capsys: pytest.CaptureFixture[str]) -> None:
    """Service, request id, tenant and user stand on each line logged in the course of a request."""
    configure()
    logging.begin(request_id="r1")
    logging.bind(tenant="t1", user="u1")
    structlog.get_logger().info("done", count=3)
    (line,) = lines(capsys)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "service": "records", "request_id": "r1", "tenant": "t1", "user": "u1",
        "event": "done", "count": 3, "level": "info",
    }  # fmt: skip


async def test_a_line_leads_to_its_trace(configure: Callable[[], None], capsys: pytest.CaptureFixture[str]) -> None:
    """Within a trace each line tells its id, as exemplars and spans do."""
    configure()
    tracing.enter("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    await structlog.get_logger().ainfo("done")
    (line,) = lines(capsys)
    assert line["trace_id"] == "0af7651916cd43dd8448eb211c80319c"


async def test_contexts_do_not_mix(configure: Callable[[], None], capsys: pytest.CaptureFixture[str]) -> None:
    """A request that begins forgets what the one before it had bound."""
    configure()
    logging.begin(request_id="r1")
    logging.bind(tenant="t1")
    logging.begin(request_id="r2")
    await structlog.get_logger().ainfo("next")
    (line,) = lines(capsys)
    assert (line["request_id"], "tenant" in line) == ("r2", False)


def test_libraries_log_the_same_way(configure: Callable[[], None], capsys: pytest.CaptureFixture[str]) -> None:
    """What goes through the standard module is a line of JSON too, from warning on, with its traceback as data."""
    configure()
    try:
        raise ValueError("no")
    except ValueError:
        standard.getLogger("asyncpg").warning("odd", exc_info=True)
    standard.getLogger("asyncpg").info("chatter")
    (line,) = lines(capsys)
    assert (line["service"], line["event"], line["level"]) == ("records", "odd", "warning")
    assert line["exception"][0]["exc_type"] == "ValueError"


def test_a_traceback_keeps_secrets(configure: Callable[[], None], capsys: pytest.CaptureFixture[str]) -> None:
    """The values of local variables are not logged: one may be a password."""
    configure()

    def sign_in(password: str) -> None:
        raise ValueError(len(password))

    try:
        sign_in("hunter2 in the dark")
    except ValueError as error:
        structlog.get_logger().error("failed", exc_info=error)
    text = capsys.readouterr().out
    assert "sign_in" in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("550 <ada.l+1@mail.example.co.uk> is unknown\n", "550 <…> is unknown\n"),
        ("postgresql://auth:s3%2Fcret@db:5432/x and redis://:pw@r/0", "postgresql://…@db:5432/x and redis://…@r/0"),
        ("Bearer eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxMjM0NSJ9.c2ln was refused", "Bearer … was refused"),
        ("mlr_0190a0000000700080000000000000ab, whsec_c2VjcmV0c2VjcmV0", "…, …"),
        ("duplicate key\nDETAIL:  Key (name)=(Ada) already exists.\nmore", "duplicate key\nDETAIL: …"),
        ('invalid input syntax for type uuid: "Ada"', "invalid input syntax for type uuid: …"),
        ("invalid input for query argument $12: 'Ada' (expected int)", "invalid input for query argument $12: …"),
        ("0190a000-0000-7000-8000-000000000000 of evt.t.auth.user.created in a@b", None),
    ],
)
def test_what_others_quote_is_taken_out(
    configure: Callable[[], None], capsys: pytest.CaptureFixture[str], said: str, kept: str | None
) -> None:
    """Addresses of people, secrets and stored values in the words of libraries are not logged, wherever they stand."""
    configure()
    try:
        raise ValueError(said)
    except ValueError as error:
        structlog.get_logger().error(said, parts=[{"one": said}], other=ValueError(said), exc_info=error)
    (line,) = lines(capsys)
    found = [line["event"], line["parts"][0]["one"], line["other"], line["exception"][0]["exc_value"]]
    assert found == [kept or said] * 4


@pytest.mark.parametrize("said", ["x" * 300_000, "eyJaaaaa" * 40_000, "a@" + "b." * 150_000 + "1"])
def test_a_long_word_is_looked_at_once(
    configure: Callable[[], None], capsys: pytest.CaptureFixture[str], said: str
) -> None:
    """What a library quotes may be as long as a body: looking for secrets from each of its letters to its end, which
    takes minutes, would hold everybody up.
    """
    configure()
    structlog.get_logger().error("refused", said=said)
    assert lines(capsys)[0]["said"] == said


def test_a_path_is_logged_without_what_opens_it() -> None:
    """The token of a shared link is left out; ids and names stay."""
    record = "0190a000-0000-7000-8000-000000000000"
    plain = f"/api/v1/pipelines/{record}/records/{record}/history"
    assert logging.shown(plain) == plain
    assert logging.shown("/api/v1/shared/views/kQ0_x-3hL9aPz7Rt5Wv2Yb8Nc4Md6Ef1") == "/api/v1/shared/views/…"


def test_the_level_is_kept(configure: Callable[[], None], capsys: pytest.CaptureFixture[str]) -> None:
    """What is below the level is not written."""
    configure()
    structlog.get_logger().debug("chatter")
    assert lines(capsys) == []


ENDING = """
import threading, warnings
from libs.common import settings
settings.of_process(settings.ServiceSettings, "records")
warnings.warn("old")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise ValueError("odd")
"""


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, ["not started"]),
        ({"PORT": "1", "REDIS_URL": "redis://r", "NATS_URL": "nats://n"}, ["old", "uncaught", "uncaught"]),
    ],
    ids=["settings missing", "an error"],
)
def test_how_a_process_ends_is_told_in_lines_too(given: dict[str, str], told: list[str]) -> None:
    """Settings that are missing, warnings, and what nobody catches, in a thread or not, are JSON like all the rest."""
    done = subprocess.run([sys.executable, "-c", ENDING], env=given, capture_output=True, text=True, cwd=ROOT)
    events = [json.loads(line) for line in (done.stdout + done.stderr).splitlines()]
    assert done.returncode == 1
    assert [told_of in event["event"] for told_of, event in zip(told, events, strict=True)] == [True] * len(told)
    assert {event["service"] for event in events} == {"records"}


def test_every_process_says_so() -> None:
    """Each of the five reads its settings in the way that sets this up."""
    mains = [*ROOT.glob("services/*/main.py"), ROOT / "gateway" / "main.py"]
    assert len(mains) == 5
    assert [path for path in mains if "of_process(Settings, " not in path.read_text()] == []
