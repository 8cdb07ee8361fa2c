"""A tenant's own domains, which are proven by a TXT record (RFC 1464) before requests to them are the tenant's."""

import secrets
from collections.abc import Iterable
from datetime import datetime

import msgspec

MAX_DOMAINS = 50


class Claim(msgspec.Struct, frozen=True):
    """A domain that is to be proven."""

    host: str
    token: str
    created_at: datetime

    @property
    def record(self) -> str:
        """The name of the record."""
        return f"_millrace.{self.host}"

    @property
    def value(self) -> str:
        """What the record says."""
        return f"millrace-verification={self.token}"

    def proven_by(self, records: Iterable[str]) -> bool:
        """Whether one of the records says so."""
        return any(record.strip() == self.value for record in records)


def claim(host: str, now: datetime) -> Claim:
    """A new claim."""
    return Claim(host, secrets.token_hex(16), now)
