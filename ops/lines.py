"""What a command says, as lines of JSON: for a job, whose output is a log."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from logging import ERROR, INFO
from typing import TextIO

import structlog

from libs.common import logging


@contextmanager
def as_told() -> Iterator[None]:
    """Within the block all output is lines of JSON where LOG_FORMAT=json says so, and as it is otherwise."""
    if os.environ.get("LOG_FORMAT") != "json":
        yield
        return
    logging.configure("operations", "INFO")
    logging.catch_all()
    out = sys.stdout
    with Lines(out, INFO) as said, Lines(out, ERROR) as wrong, redirect_stdout(said), redirect_stderr(wrong):
        yield


class Lines(io.TextIOBase):
    """A stream each of whose lines is logged; what is JSON already is passed on."""

    def __init__(self, out: TextIO, level: int) -> None:
        self._out = out
        self._level = level
        self._begun = ""

    def write(self, text: str) -> int:
        """Logs the lines that are whole."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in filter(None, map(str.rstrip, lines)):
            if line.startswith('{"service":'):
                self._out.write(f"{line}\n")
                self._out.flush()
            else:
                structlog.get_logger().log(self._level, line)
        return len(text)

    def close(self) -> None:
        """Logs what is left."""
        if self._begun:
            self.write("\n")
        super().close()
