"""Settings: one frozen Struct per process, read once from the environment.

The field `database_url` is the variable `DATABASE_URL`, or the contents of the file that `DATABASE_URL_FILE` names.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, TypeVar

import msgspec
import structlog
from msgspec import Meta

from libs.common import logging


class SettingsError(Exception):
    """The environment does not give the settings that are needed."""


class ServiceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What every process is told.

    Times are seconds, sizes bytes. `unix_socket` is a path where a service listens as well, for a gateway on the same
    machine. `tls_cert_file` and `tls_key_file` are the process's own certificate: to serve with, unless `serve_tls` is
    off, and to show where it connects. `tls_client_ca_file` is whose certificates it asks of clients, `tls_ca_file`
    whose it believes of servers, in place of the system's.

    `nats_url` may list the servers of a cluster, `stream_replicas` of which keep the stream of events. `redis_url` is
    one node of a Redis Cluster where `redis_cluster` is on; several may be listed.
    """

    host: str = "127.0.0.1"
    port: int
    unix_socket: str | None = None
    redis_url: str
    redis_cluster: Literal["on", "off"] = "off"
    nats_url: str
    stream_replicas: Annotated[int, Meta(ge=1, le=5)] = 1
    log_level: str = "info"
    environment: str = "development"
    version: str = "0.1.0"
    shutdown_seconds: float = 10.0
    max_body_bytes: int = 10 * 1024 * 1024
    otel_exporter_otlp_endpoint: str | None = None
    serve_tls: Literal["on", "off"] = "on"
    tls_ca_file: str | None = None
    tls_cert_file: str | None = None
    tls_key_file: str | None = None
    tls_client_ca_file: str | None = None


class DatabaseSettings(ServiceSettings, frozen=True, kw_only=True):
    """A process that owns a PostgreSQL schema. `migration_database_url` makes it migrate its own schema at start."""

    database_url: str
    database_pool_size: int = 10
    statement_seconds: float = 15.0
    migration_database_url: str | None = None


S = TypeVar("S", bound=ServiceSettings)
Latest: TypeAlias = Callable[[], str]
"""A value as it stands now."""


def latest(name: str, value: str, environ: Mapping[str, str] = os.environ) -> Latest:
    """The value of a variable as it stands now: where a file gives it, the file is read again, as it may be renewed."""
    path = environ.get(f"{name}_FILE")
    if name in environ or not path:
        return lambda: value

    def read() -> str:
        try:
            return Path(path).read_text().strip() or value
        except OSError:
            return value

    return read


def load(struct: type[S], environ: Mapping[str, str] = os.environ) -> S:
    """Reads a settings Struct; the error names every variable that is missing or wrong."""
    given: dict[str, str] = {}
    problems: list[str] = []
    fields = msgspec.structs.fields(struct)
    for field in fields:
        value = _lookup(field.name.upper(), environ, problems)
        if value is not None:
            given[field.name] = value
        elif field.required:
            problems.append(f"{field.name.upper()} is not set")
    for field in fields:
        if field.name in given:
            _check(given[field.name], field, problems)
    if problems:
        raise SettingsError("; ".join(problems))
    return msgspec.convert(given, struct, strict=False)


def of_process(struct: type[S], service: str) -> S:
    """The settings of this process, whose logging is set up by them; without them it ends, and a line says why."""
    logging.configure(service, "INFO")
    logging.catch_all()
    try:
        given = load(struct)
    except SettingsError as error:
        structlog.get_logger().critical("not started", error=str(error))
        raise SystemExit(1) from error
    logging.configure(service, given.log_level)
    return given


def _lookup(name: str, environ: Mapping[str, str], problems: list[str]) -> str | None:
    if name in environ:
        return environ[name]
    if path := environ.get(f"{name}_FILE"):
        try:
            return Path(path).read_text().strip()
        except OSError as error:
            problems.append(f"{name}_FILE cannot be read: {error}")
    return None


def _check(value: str, field: msgspec.structs.FieldInfo, problems: list[str]) -> None:
    try:
        msgspec.convert(value, field.type, strict=False)
    except msgspec.ValidationError as error:
        problems.append(f"{field.name.upper()} is wrong: {error}")
