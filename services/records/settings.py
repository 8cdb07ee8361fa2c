"""What the records service is told."""

from libs.common.settings import DatabaseSettings


class Settings(DatabaseSettings, frozen=True, kw_only=True):
    """The environment of the records service; a batch or an import may be large.

    Files, imports and exports lie at `files_url`: `file:///folder` or `s3://bucket/prefix?region=…&endpoint=…`.
    """

    max_body_bytes: int = 32 * 1024 * 1024
    job_concurrency: int = 2
    job_lease_seconds: float = 30.0
    files_url: str = "file:///var/lib/millrace/files"
    files_access_key: str | None = None
    files_secret_key: str | None = None
