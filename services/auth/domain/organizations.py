"""Tenants, as people know them: organizations with a slug, domains and a look of their own."""

import re
from collections.abc import Collection
from datetime import datetime, timedelta
from functools import cache
from ipaddress import ip_network
from typing import Literal
from uuid import UUID
from zoneinfo import available_timezones

import msgspec

from libs.common.errors import Fault, Forbidden
from libs.common.networks import is_within
from libs.common.plans import Limits
from services.auth.domain.people import MIN_PASSWORD

TenantStatus = Literal["active", "suspended", "deleting", "purging"]

MAX_LOGO_URL = 2048
MAX_SESSION_HOURS = 90 * 24
MAX_MIN_PASSWORD = 64
MAX_NETWORKS = 100
RESERVED = frozenset({
    "admin", "api", "app", "assets", "auth", "blog", "cdn", "console", "dashboard", "docs", "ftp", "grafana", "help",
    "internal", "localhost", "login", "mail", "metrics", "millrace", "ns", "platform", "root", "signup", "smtp", "sso",
    "static", "status", "support", "system", "webmail", "ws", "www",
})  # fmt: skip
MAX_TRASH_DAYS = 3650

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])")
_HOST = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_URL = re.compile(r"https?://[^\s/@\x00-\x1f]+[^\s\x00-\x1f]*")


class Branding(msgspec.Struct, frozen=True, omit_defaults=True):
    """How an organization looks: colours as `#rrggbb`, and where its logo is."""

    primary_color: str | None = None
    accent_color: str | None = None
    logo_url: str | None = None


class Security(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an organization asks of its people's sign-ins; no addresses (CIDR, RFC 4632) allow all.

    `impersonation` is its consent that those who manage users act in the name of others. Its trash keeps records for
    `trash_days`, 0 for ever.
    """

    mfa_required: bool = False
    session_hours: int | None = None
    password_min_length: int | None = None
    require_if_match: bool = False
    ip_allow_list: tuple[str, ...] = ()
    impersonation: bool = False
    trash_days: int = 30

    def session_end(self, began: datetime, longest: timedelta) -> datetime:
        """When a session ends that began then."""
        return began + (longest if self.session_hours is None else min(longest, timedelta(hours=self.session_hours)))

    def allows(self, address: str | None) -> bool:
        """Whether somebody may come from that address."""
        return not self.ip_allow_list or is_within(address, self.ip_allow_list)


class Organization(msgspec.Struct, frozen=True):
    """A tenant with its domains, sorted, and what its plan allows; one that is being deleted goes at `deletes_at`."""

    id: UUID
    slug: str
    name: str
    status: TenantStatus
    locale: str
    time_zone: str
    branding: Branding
    security: Security
    created_at: datetime
    updated_at: datetime
    domains: tuple[str, ...]
    limits: Limits = Limits()
    deletes_at: datetime | None = None


def check_slug(slug: str) -> list[Fault]:
    """Faults of a tenant's slug, which is the first label of its host name."""
    if not _SLUG.fullmatch(slug):
        detail = "A slug has 2 to 63 of a-z, 0-9 and inner hyphens"
        return [Fault("/slug", "invalid_slug", detail)]
    if slug in RESERVED or slug.startswith("xn--"):
        return [Fault("/slug", "reserved_slug", f"'{slug}' is reserved for the platform")]
    return []


def check_domain(host: str, slug: str, bases: Collection[str]) -> list[Fault]:
    """Faults of a tenant's domain; the hosts below the platform's own domains belong to the slugs."""
    if not _HOST.fullmatch(host) or host in bases:
        return [Fault("/domain", "invalid_domain", "A host name such as 'crm.example.com' is expected")]
    for base in bases:
        if host.endswith(f".{base}") and host != f"{slug}.{base}":
            return [Fault("/domain", "reserved_domain", f"Below {base} this tenant is {slug}.{base}")]
    return []


def check_time_zone(name: str) -> list[Fault]:
    """Faults of a time zone."""
    if name in _time_zones():
        return []
    return [Fault("/time_zone", "invalid_time_zone", "A time zone such as 'Europe/Berlin' is expected")]


def check_branding(branding: Branding) -> list[Fault]:
    """Faults of an organization's look."""
    colours = {"primary_color": branding.primary_color, "accent_color": branding.accent_color}
    faults = [
        Fault(f"/branding/{name}", "invalid_color", "A colour such as '#0a5fff' is expected")
        for name, value in colours.items()
        if value is not None and not _COLOUR.fullmatch(value)
    ]
    url = branding.logo_url
    if url is not None and (len(url) > MAX_LOGO_URL or not _URL.fullmatch(url)):
        faults.append(Fault("/branding/logo_url", "invalid_url", "An http or https address is expected"))
    return faults


def check_limits(limits: Limits) -> list[Fault]:
    """Faults of what a plan allows."""
    return [
        Fault(f"/limits/{name}", "out_of_range", "A limit is 0 or more; leave it out for none")
        for name, value in msgspec.structs.asdict(limits).items()
        if value is not None and value < 0
    ]


def check_security(security: Security, address: str | None) -> list[Fault]:
    """Faults of a policy, which may not shut out the address that sets it."""
    faults = [
        Fault(f"/security/ip_allow_list/{index}", "invalid_network", "A network such as 198.51.100.0/24 is expected")
        for index, network in enumerate(security.ip_allow_list)
        if not _is_network(network)
    ]
    hours, length = security.session_hours, security.password_min_length
    if hours is not None and not 1 <= hours <= MAX_SESSION_HOURS:
        faults.append(Fault("/security/session_hours", "out_of_range", f"1 to {MAX_SESSION_HOURS} hours are expected"))
    if length is not None and not MIN_PASSWORD <= length <= MAX_MIN_PASSWORD:
        detail = f"{MIN_PASSWORD} to {MAX_MIN_PASSWORD} characters are expected"
        faults.append(Fault("/security/password_min_length", "out_of_range", detail))
    if not 0 <= security.trash_days <= MAX_TRASH_DAYS:
        faults.append(Fault("/security/trash_days", "out_of_range", f"0 to {MAX_TRASH_DAYS} days are expected"))
    if len(security.ip_allow_list) > MAX_NETWORKS:
        faults.append(Fault("/security/ip_allow_list", "too_many", f"At most {MAX_NETWORKS} networks are taken"))
    elif not faults and not security.allows(address):
        faults.append(Fault("/security/ip_allow_list", "shuts_you_out", "The list does not allow your own address"))
    return faults


def require_active(organization: Organization | None, *, ending: bool = False) -> Organization:
    """An organization that is served; to those who may save it also one that is `ending`."""
    served = ("active", "deleting") if ending else ("active",)
    if organization is None or organization.status not in served:
        raise Forbidden("The organization is not active", code="tenant-inactive")
    return organization


def _is_network(text: str) -> bool:
    try:
        return str(ip_network(text)) == text
    except ValueError:
        return False


def host_name(host: str) -> str:
    """A host without port and trailing dot, in lower case."""
    name = host.strip().lower()
    bare = name if name.startswith("[") else name.partition(":")[0]
    return bare.removesuffix(".")


def slug_of_host(host: str, bases: Collection[str]) -> str | None:
    """The slug that a host below one of the platform's own domains names."""
    slug, dot, rest = host.partition(".")
    return slug if dot and rest in bases else None


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())
