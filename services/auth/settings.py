from typing import Annotated

from msgspec import Meta

from libs.common.settings import DatabaseSettings


class Settings(DatabaseSettings, frozen=True, kw_only=True):
    """What auth is told besides; the defaults of argon2id are those of the OWASP Password Storage Cheat Sheet.

    `signing_key_secret` encrypts the private signing keys at rest. Access tokens live ten minutes at most, because
    the gateway remembers a revocation for no longer. Below each of `base_domains` (with commas) the slugs are hosts.
    Links in mails begin with `public_url`, in which `{tenant}` is the slug. Mails go to `smtp_url` (`smtp://`,
    `smtps://` or `smtp+starttls://`), or are kept as files in `mail_directory`.
    A tenant that is deleted can be restored for `deletion_grace_days`.
    Domains are proven by records that `dns_servers` know (`host:port`, with commas), by default those of the system.
    Identity providers have public addresses and HTTPS, unless `outward_private_addresses` allows others.
    """

    signing_key_secret: Annotated[str, Meta(min_length=16)]
    access_token_seconds: Annotated[int, Meta(ge=1, le=600)] = 600
    refresh_token_seconds: Annotated[int, Meta(ge=60)] = 30 * 24 * 3600
    session_seconds: Annotated[int, Meta(ge=60)] = 90 * 24 * 3600
    argon2_time_cost: Annotated[int, Meta(ge=1, le=100)] = 2
    argon2_memory_kib: Annotated[int, Meta(ge=8, le=4 * 1024 * 1024)] = 19456
    argon2_parallelism: Annotated[int, Meta(ge=1, le=64)] = 1
    hash_threads: Annotated[int, Meta(ge=1, le=64)] = 2
    hash_queue: Annotated[int, Meta(ge=1, le=10_000)] = 64
    base_domains: str = "localhost"
    public_url: str = "http://{tenant}.localhost:8000"
    smtp_url: str | None = None
    mail_directory: str | None = None
    dns_servers: str | None = None
    deletion_grace_days: Annotated[int, Meta(ge=0, le=365)] = 30
    outward_private_addresses: bool = False
    mail_from: str = "Millrace <no-reply@localhost>"
