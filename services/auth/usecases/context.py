"""What the use cases have at hand."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from libs.common.bus import Bus
from libs.common.postgres import Database
from services.auth.domain.sealing import Seal
from services.auth.domain.sessions import Lifetimes
from services.auth.storage.attempts import Attempts
from services.auth.usecases.audit import Auditor
from services.auth.usecases.keys import KeyRing
from services.auth.usecases.older_keys import OlderKeys
from services.auth.usecases.openid import OpenId
from services.auth.usecases.passwords import Hasher
from services.auth.usecases.post import PostOffice


@dataclass(frozen=True, slots=True)
class Context:
    """The resources of one process; `base_domains` are those below which the slugs are hosts, and
    `public_url` is where people come in, with `{tenant}` for the slug. `look_up_txt` asks the DNS.
    A tenant that is deleted can be restored within `deletion_grace`.
    """

    database: Database
    bus: Bus
    hasher: Hasher
    attempts: Attempts
    keys: KeyRing
    factors: Seal
    older: OlderKeys
    providers: Seal
    openid: OpenId
    post: PostOffice
    audit: Auditor
    lifetimes: Lifetimes
    base_domains: frozenset[str]
    public_url: str
    look_up_txt: Callable[[str], Awaitable[list[str]]]
    deletion_grace: timedelta
