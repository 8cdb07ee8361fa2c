"""What the records service is told."""

from typing import Annotated

from msgspec import Meta

from libs.common.settings import DatabaseSettings


class Settings(DatabaseSettings, frozen=True, kw_only=True):
    """The environment of the records service; a batch or an import may be large.

    A standby of PostgreSQL at `replica_database_url` answers reads that may be `replica_staleness_seconds` old; of who
    has just written it answers none before it has what they wrote. The address leads to one server.

    Files, imports and exports lie at `files_url`: `file:///folder` or `s3://bucket/prefix?region=…&endpoint=…`.
    """

    max_body_bytes: int = 32 * 1024 * 1024
    job_concurrency: int = 2
    job_lease_seconds: float = 30.0
    files_url: str = "file:///var/lib/millrace/files"
    replica_database_url: str | None = None
    replica_staleness_seconds: Annotated[float, Meta(gt=0, le=60)] = 1.0
    files_access_key: str | None = None
    files_secret_key: str | None = None
