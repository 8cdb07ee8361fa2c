"""Where objects lie, by an address: a folder, or a bucket that speaks S3."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from obstore.store import S3Store

if TYPE_CHECKING:
    from obstore.store import S3Config


@dataclass(frozen=True, kw_only=True)
class Patience:
    """For how long one request may take, and how often and for how long in all it is tried again."""

    request: timedelta
    retries: int
    all_retries: timedelta


def locate(
    url: str, patience: Patience, access_key: str | None = None, secret_key: str | None = None
) -> Path | S3Store | None:
    """The folder of `file:///folder`, the bucket of `s3://bucket/prefix?region=…&endpoint=https://…`; or null.

    Without keys S3 takes those of the machine it runs on (instance, container or web identity).
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path:
        return Path(unquote(parts.path))
    if parts.scheme != "s3" or not parts.netloc:
        return None
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    endpoint = options.get("endpoint")
    config: S3Config = {
        "region": options.get("region", "us-east-1"),
        "virtual_hosted_style_request": endpoint is None,
    }
    if endpoint is not None:
        config["endpoint"] = endpoint
    if access_key and secret_key:
        config["access_key_id"], config["secret_access_key"] = access_key, secret_key
    return S3Store(
        parts.netloc,
        prefix=parts.path.strip("/") or None,
        config=config,
        client_options={"allow_http": (endpoint or "").startswith("http://"), "timeout": patience.request},
        retry_config={"max_retries": patience.retries, "retry_timeout": patience.all_retries},
    )
