"""What the records service is told."""

from libs.common.settings import DatabaseSettings


class Settings(DatabaseSettings, frozen=True, kw_only=True):
    """The environment of the records service; a batch or an import may be large."""

    max_body_bytes: int = 32 * 1024 * 1024
