"""Signing in by an identity provider: going there, coming back, and whose account it is."""

import asyncio
from collections.abc import Awaitable
from hashlib import sha256
from uuid import UUID

import msgspec

from libs.common import clock, outbox
from libs.common.errors import AppError, Forbidden, Invalid, NotFound, Unauthenticated
from libs.common.ids import new_id
from libs.common.permissions import Permissions
from libs.common.postgres import Connection
from services.auth.domain import events, grants, seeds
from services.auth.domain import roles as role_rules
from services.auth.domain import sso as rules
from services.auth.domain.audit import Party, of_user
from services.auth.domain.organizations import Organization, require_active
from services.auth.domain.people import User
from services.auth.domain.roles import Catalogue
from services.auth.domain.sessions import Client
from services.auth.domain.sso import Flow, Kind, Provider, Vouched, refused
from services.auth.storage import organizations, roles, sso, users
from services.auth.storage.sso import Arrival
from services.auth.usecases import api_keys, saml, sign_in
from services.auth.usecases.context import Context
from services.auth.usecases.saml import Expected
from services.auth.usecases.sign_in import Challenge, SignedIn
from services.auth.usecases.users import require_room

CALLBACK = "/api/v1/auth/sso/{provider_id}/callback"
METADATA = "/api/v1/auth/sso/{provider_id}/metadata"
ACS = "/api/v1/auth/sso/{provider_id}/acs"
MAX_CODE = 4096


class Departure(msgspec.Struct, frozen=True):
    """Where the browser goes to, and what it keeps until it comes back."""

    url: str
    browser: str


class Answer(msgspec.Struct, frozen=True):
    """What the provider's redirect brings back."""

    state: str
    code: str | None
    issuer: str | None
    error: str | None


class Page(msgspec.Struct, frozen=True):
    """The page that waits for its tokens: `token` fetches them, or `error` says why there are none."""

    path: str
    token: str | None
    error: str | None = None


async def depart(
    context: Context, tenant_id: UUID, provider_id: UUID, origin: str, host: str, return_to: str | None
) -> Departure:
    """Sends a browser to a provider, from one of the tenant's own hosts."""
    if faults := rules.check_return(return_to):
        raise Invalid(errors=faults)
    provider, organization = await _provider(context, tenant_id, provider_id)
    _require_own(context, organization, host)
    it, (state, digest), browser = provider.configuration, rules.make_state(tenant_id), rules.make_browser()
    if it.kind == "saml":
        flow = rules.begin_saml(provider_id, origin + ACS.format(provider_id=provider_id), return_to)
        url = saml.request_url(it, _expected(provider_id, origin, flow), state, clock.now())
    else:
        metadata = await context.openid.metadata(it.issuer)
        flow = rules.begin(provider_id, origin + CALLBACK.format(provider_id=provider_id), return_to)
        url = rules.authorization_url(metadata.authorization_endpoint, it, flow, state)
    async with context.database.tenant(tenant_id) as connection:
        await sso.insert_flow(connection, tenant_id, digest, rules.browser_hash(browser), flow, clock.now())
    return Departure(url, browser)


async def describe(context: Context, tenant_id: UUID, provider_id: UUID, origin: str, host: str) -> bytes:
    """What a SAML provider has to know of us: the metadata of the host that is asked."""
    provider, organization = await _provider(context, tenant_id, provider_id)
    _require_own(context, organization, host)
    if provider.configuration.kind != "saml":
        raise NotFound("There is no such identity provider", code="provider-not-found")
    own = {"provider_id": provider_id}
    return saml.metadata(origin + METADATA.format(**own), origin + ACS.format(**own))


async def arrive(
    context: Context, tenant_id: UUID, provider_id: UUID, browser: str, told: Answer, client: Client
) -> SignedIn | Challenge | Page:
    """Takes a browser back that a provider sends. Where a page waits, it learns in its address how it went."""
    of_state, digest = rules.read_state(told.state)
    if of_state != tenant_id:
        raise refused()
    held = rules.browser_hash(browser)
    async with context.database.tenant(tenant_id) as connection:
        flow = await sso.take_flow(connection, tenant_id, digest, held, provider_id, clock.now())
    if flow is None:
        raise refused()
    if flow.return_to is None:
        try:
            return await _enter(context, tenant_id, await _by_openid(context, tenant_id, flow, told, client), client)
        except (Unauthenticated, Forbidden):
            await sign_in.note_failure(context, tenant_id, None, client, "sso")
            raise
    return await _page(
        context, tenant_id, flow.return_to, held, _by_openid(context, tenant_id, flow, told, client), client
    )


async def arrive_saml(
    context: Context, tenant_id: UUID, provider_id: UUID, origin: str, state: str, response: str, client: Client
) -> Page:
    """Takes a browser back whose form brings a SAML response; the page fetches the tokens with the cookie it has."""
    of_state, digest = rules.read_state(state)
    if of_state != tenant_id:
        raise refused()
    async with context.database.tenant(tenant_id) as connection:
        found = await sso.take_posted_flow(connection, tenant_id, digest, provider_id, clock.now())
    if found is None:
        raise refused()
    flow, held = found
    path = flow.return_to or "/"
    return await _page(
        context, tenant_id, path, held, _by_saml(context, tenant_id, flow, origin, response, client), client
    )


async def _page(
    context: Context, tenant_id: UUID, path: str, held: bytes, coming: Awaitable[Arrival], client: Client
) -> Page:
    """The page that waits, which learns how it went; only the browser that began can fetch what it is told."""
    try:
        arrival = await coming
    except AppError as error:
        if isinstance(error, (Unauthenticated, Forbidden)):
            await sign_in.note_failure(context, tenant_id, None, client, "sso")
        return Page(path, None, error.code)
    token, digest = rules.make_arrival(tenant_id)
    async with context.database.tenant(tenant_id) as connection:
        await sso.insert_arrival(connection, tenant_id, digest, held, arrival, clock.now())
    return Page(path, token)


async def fetch(context: Context, token: str, browser: str, client: Client) -> tuple[UUID, SignedIn | Challenge]:
    """Signs in who has come back, as the page of the same browser asks; also returns the tenant."""
    tenant_id, digest = rules.read_arrival(token)
    async with context.database.tenant(tenant_id) as connection:
        arrival = await sso.take_arrival(connection, tenant_id, digest, rules.browser_hash(browser), clock.now())
    if arrival is None:
        raise refused()
    return tenant_id, await _enter(context, tenant_id, arrival, client)


async def _enter(context: Context, tenant_id: UUID, arrival: Arrival, client: Client) -> SignedIn | Challenge:
    return await sign_in.enter(context, tenant_id, arrival.user_id, client, proven=arrival.mfa)


async def _by_openid(context: Context, tenant_id: UUID, flow: Flow, told: Answer, client: Client) -> Arrival:
    """Who it is that an OpenID provider speaks of."""
    provider, _ = await _provider(context, tenant_id, flow.provider_id, "oidc")
    of = await _ask(context, tenant_id, provider, flow, told)
    return await _vouched(context, tenant_id, provider, of, client)


async def _by_saml(
    context: Context, tenant_id: UUID, flow: Flow, origin: str, response: str, client: Client
) -> Arrival:
    """Who it is that a SAML provider speaks of, in an assertion that was not taken before."""
    provider, _ = await _provider(context, tenant_id, flow.provider_id, "saml")
    expected, now = _expected(provider.id, origin, flow), clock.now()
    if expected.acs != flow.redirect_uri:
        raise refused()
    told = await asyncio.to_thread(saml.read, response, provider.configuration, expected, now)
    digest = sha256(told.id.encode()).digest()
    async with context.database.tenant(tenant_id) as connection:
        if not await sso.note_assertion(connection, tenant_id, provider.id, digest, told.forgettable_at, now):
            raise refused()
    return await _vouched(context, tenant_id, provider, told.vouched, client)


async def _vouched(context: Context, tenant_id: UUID, provider: Provider, of: Vouched, client: Client) -> Arrival:
    """Whose account it is that a provider speaks of."""
    async with context.database.tenant(tenant_id) as connection:
        await organizations.lock(connection, tenant_id)
        organization = require_active(await organizations.get(connection, tenant_id))
        catalogue = await roles.catalogue(connection, tenant_id)
        user = await _account(context, connection, organization, catalogue, provider, of, client)
    return Arrival(user.id, of.mfa)


async def _ask(context: Context, tenant_id: UUID, provider: Provider, flow: Flow, told: Answer) -> Vouched:
    """Gets and checks the provider's word."""
    it = provider.configuration
    metadata = await context.openid.metadata(it.issuer)
    foreign = told.issuer is not None and told.issuer != it.issuer
    silent = told.issuer is None and metadata.authorization_response_iss_parameter_supported
    if told.error is not None or not told.code or len(told.code) > MAX_CODE or foreign or silent:
        raise refused()
    async with context.database.tenant(tenant_id) as connection:
        sealed = await sso.secret(connection, tenant_id, provider.id)
    secret = context.providers.open(sealed, provider.id.bytes).decode() if sealed is not None else None
    tokens = await context.openid.redeem(metadata, it, secret, told.code, flow)
    key = await context.openid.key(metadata, rules.key_id(tokens.id_token, it.algorithm), it.algorithm)
    claims = rules.check_id_token(tokens.id_token, key, it, flow.nonce, tokens.access_token)
    if "email" not in claims:
        claims = {**await context.openid.user_info(metadata, tokens.access_token, claims["sub"]), **claims}
    return rules.vouched(claims, it)


async def _account(
    context: Context, connection: Connection, organization: Organization, catalogue: Catalogue, provider: Provider,
    of: Vouched, client: Client,
) -> User:  # fmt: skip
    """The account of a provider's subject: linked before, of the same verified address, or made now."""
    tenant_id, it = organization.id, provider.configuration
    known_as = await sso.user_of(connection, tenant_id, provider.id, of.subject)
    user = await users.lock(connection, tenant_id, known_as) if known_as else None
    if user is None:
        if of.email is None:
            raise refused("sso-email-not-verified", "The identity provider does not vouch for an address")
        same = await users.credentials(connection, tenant_id, of.email)
        user = await users.lock(connection, tenant_id, same.id) if same else None
    if not rules.is_of(user.email if user else of.email or "", it, organization.domains):
        raise refused("sso-domain", "The identity provider does not speak for the address")
    holder = Permissions(role_rules.flatten_all(catalogue, it.maker_roles))
    before = user.roles if user else None
    chosen = tuple(role for role in rules.roles_for(it, of, before) if role in catalogue)
    for given in {*chosen, *(before or ())}:
        if not all(grants.covered(holder, grant) for grant in role_rules.flatten(catalogue, given)):
            detail = "The identity provider does not vouch for somebody who may do so much"
            raise refused("sso-beyond-provider", detail)
    by = Party("identity_provider", provider.id, provider.name)
    if user is None:
        user = await _provision(context, connection, organization, provider, of, chosen)
    else:
        user = await _update(context, connection, organization, catalogue, user, chosen, by, linked=bool(known_as))
    if known_as is None:
        await sso.link(connection, tenant_id, provider.id, of.subject, user.id, clock.now())
        details = {"provider": provider.name}
        await context.audit.note(
            connection, tenant_id, "user.linked", by, of_user(user), address=client.address, details=details
        )
    return user


async def _provision(
    context: Context, connection: Connection, organization: Organization, provider: Provider, of: Vouched,
    chosen: tuple[UUID, ...],
) -> User:  # fmt: skip
    assert of.email is not None
    if not provider.configuration.provision:
        raise refused("sso-unknown-user", "There is no account of that address; ask to be invited")
    now = clock.now()
    name = of.name or of.email.partition("@")[0]
    user = User(new_id(), of.email, name, organization.locale, "active", now, now, now, chosen)
    await organizations.lock(connection, organization.id)
    await require_room(connection, organization)
    await users.insert(connection, organization.id, user, None)
    await outbox.record(connection, organization.id, [events.user("created", user)])
    by = Party("identity_provider", provider.id, provider.name)
    await context.audit.note(
        connection, organization.id, "user.created", by, of_user(user), details={"email": of.email}
    )
    return user


async def _update(
    context: Context, connection: Connection, organization: Organization, catalogue: Catalogue, before: User,
    chosen: tuple[UUID, ...], by: Party, *, linked: bool,
) -> User:  # fmt: skip
    """An account as it is from now on: who was invited has joined, and mapped roles are those of today."""
    if before.status == "deactivated":
        raise refused()
    if not linked and before.status == "active" and before.email_verified_at is None:
        raise refused("sso-account-not-verified", "Confirm the address of your account first")
    owner = next(role.id for role in catalogue.values() if role.slug == seeds.OWNER)
    loses_owner = owner in before.roles and owner not in chosen
    if loses_owner and not await users.other_active_members(connection, organization.id, owner, before.id):
        chosen = tuple(sorted({*chosen, owner}))
    after = msgspec.structs.replace(
        before, status="active", roles=chosen, email_verified_at=before.email_verified_at or clock.now()
    )
    if (after.status, after.roles, after.email_verified_at) == (before.status, before.roles, before.email_verified_at):
        return before
    after = msgspec.structs.replace(after, updated_at=clock.now())
    await users.update(connection, organization.id, after)
    if after.roles != before.roles:
        holds = Permissions(role_rules.flatten_all(catalogue, after.roles))
        await api_keys.end_beyond(context, connection, organization.id, by, after.id, holds)
    ended = [events.tokens_revoked(after.id)] if after.roles != before.roles else []
    await outbox.record(connection, organization.id, [*ended, events.user("updated", after)])
    details = {"roles": [[catalogue[it].slug for it in of.roles if it in catalogue] for of in (before, after)]}
    await context.audit.note(connection, organization.id, "user.updated", by, of_user(after), details=details)
    return after


def _expected(provider_id: UUID, origin: str, flow: Flow) -> Expected:
    """What a SAML response to a sign-in has to name."""
    of = {"provider_id": provider_id}
    return Expected(origin + METADATA.format(**of), origin + ACS.format(**of), flow.nonce)


async def _provider(
    context: Context, tenant_id: UUID, provider_id: UUID, kind: Kind | None = None
) -> tuple[Provider, Organization]:
    async with context.database.tenant(tenant_id) as connection:
        organization = require_active(await organizations.get(connection, tenant_id))
        found = await sso.provider(connection, tenant_id, provider_id)
    if found is None or not found.enabled or kind not in (None, found.configuration.kind):
        raise NotFound("There is no such identity provider", code="provider-not-found")
    return found, organization


def _require_own(context: Context, organization: Organization, host: str) -> None:
    own = {f"{organization.slug}.{base}" for base in context.base_domains} | set(organization.domains)
    if host not in own:
        raise Forbidden("Sign in at a host of the organization", code="foreign-host")
