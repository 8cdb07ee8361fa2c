"""Composition root of auth: settings → resources → app."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
from litestar.types import ASGIApp

from libs.common import settings
from libs.common.app import Platform, create_app, serve
from libs.common.outward import Outward
from libs.common.postgres import Database
from services.auth.consumers import notifications, operators, pipelines, records, services, webhooks
from services.auth.domain.sealing import Seal
from services.auth.domain.sessions import Lifetimes
from services.auth.routes import ROOT_ROUTES, ROUTES
from services.auth.settings import Settings
from services.auth.storage.attempts import Attempts
from services.auth.usecases.audit import Auditor
from services.auth.usecases.compliance import Officer
from services.auth.usecases.context import Context
from services.auth.usecases.deletions import Undertaker
from services.auth.usecases.domains import resolver
from services.auth.usecases.impersonation import restrict
from services.auth.usecases.keys import KeyRing
from services.auth.usecases.older_keys import OlderKeys
from services.auth.usecases.openid import OpenId
from services.auth.usecases.passwords import Hasher
from services.auth.usecases.post import PostOffice, Send, by_smtp, into_directory
from services.auth.usecases.resealing import Resealer


def build(given: Settings) -> ASGIApp:
    """The service, not started yet."""
    lifetimes = Lifetimes(
        access_token=timedelta(seconds=given.access_token_seconds),
        refresh_token=timedelta(seconds=given.refresh_token_seconds),
        session=timedelta(seconds=given.session_seconds),
    )

    async def own_keys() -> list[dict[str, Any]]:
        return [msgspec.to_builtins(key) for key in await keys.jwks()]

    async def keys_rotated(_: bytes) -> None:
        keys.forget()

    platform = Platform("auth", given, fetch_keys=own_keys)
    platform.restrict = restrict
    database: Database = platform.database
    keys = KeyRing(database, given.signing_key_secret, lifetimes.access_token)
    hasher = Hasher(
        given.argon2_time_cost, given.argon2_memory_kib, given.argon2_parallelism,
        threads=given.hash_threads, queue=given.hash_queue,
    )  # fmt: skip
    bases = frozenset(base.strip().lower() for base in given.base_domains.split(",") if base.strip())
    factors = Seal(given.signing_key_secret, "second factors")
    post = PostOffice(database, Seal(given.signing_key_secret, "mails"), given.mail_from, _sender(given))
    chain = Seal(given.signing_key_secret, "audit log")
    older = OlderKeys(database, given.signing_key_secret, {"second factors": factors, "audit log": chain})
    audit = Auditor(database, chain, older, platform.metrics.registry)
    outward = Outward(private=given.outward_private_addresses)
    context = Context(
        database, platform.bus, hasher, Attempts(platform.redis), keys, factors, older,
        Seal(given.signing_key_secret, "identity providers"), OpenId(outward), post, audit, lifetimes,
        bases, given.public_url, resolver(given.dns_servers),
        timedelta(days=given.deletion_grace_days),
    )  # fmt: skip

    undertaker = Undertaker(database, platform.purger)
    officer = Officer(context)

    async def listen() -> None:
        platform.bus.listen("evt.*.auth.key.rotated", keys_rotated)
        services.serve(platform.bus, context)
        operators.serve(platform.bus, context, Resealer(database, given.signing_key_secret, keys, older))
        pipelines.consume(platform.bus, database, context)
        webhooks.consume(platform.bus, database, context)
        records.consume(platform.bus, database, context)
        notifications.consume(platform.bus, database, context)
        undertaker.follow(platform.bus)

    return create_app(
        platform, ROUTES, root_routes=ROOT_ROUTES, dependencies={"auth": context},
        on_start=[hasher.start, outward.start, listen, post.start, undertaker.start, officer.start],
        on_stop=[officer.stop, undertaker.stop, post.stop, outward.stop, hasher.stop],
        idempotent=True, seal=Seal(given.signing_key_secret, "idempotent answers"),
    )  # fmt: skip


def _sender(given: Settings) -> Send | None:
    if given.smtp_url:
        return by_smtp(given.smtp_url)
    return into_directory(Path(given.mail_directory)) if given.mail_directory else None


if __name__ == "__main__":
    loaded = settings.of_process(Settings, "auth")
    serve(build(loaded), loaded)
