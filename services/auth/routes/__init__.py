from litestar import Router

from services.auth.routes.api_keys import ApiKeysController, DevicesController, exchange
from services.auth.routes.audit import AuditController
from services.auth.routes.compliance import ComplianceController
from services.auth.routes.discovery import WellKnownController, resolve
from services.auth.routes.domains import DomainsController
from services.auth.routes.identity_providers import ProvidersController
from services.auth.routes.invitations import InvitationsController
from services.auth.routes.mailed import MailedController
from services.auth.routes.organizations import OrganizationsController
from services.auth.routes.passkeys import PasskeysController, PasskeySignInController
from services.auth.routes.permissions import PermissionsController
from services.auth.routes.roles import RolesController
from services.auth.routes.scim import ScimController
from services.auth.routes.second_factors import SecondFactorsController
from services.auth.routes.sessions import SessionsController
from services.auth.routes.sign_in import SignInController
from services.auth.routes.sso import SsoController
from services.auth.routes.users import MeController, UsersController

ROUTES = (
    SignInController,
    SessionsController,
    MeController,
    UsersController,
    Router("/admin", route_handlers=[UsersController]),
    RolesController,
    PermissionsController,
    OrganizationsController,
    ApiKeysController,
    DevicesController,
    SecondFactorsController,
    InvitationsController,
    MailedController,
    AuditController,
    ComplianceController,
    DomainsController,
    PasskeysController,
    PasskeySignInController,
    ProvidersController,
    SsoController,
    ScimController,
)
ROOT_ROUTES = (WellKnownController, resolve, exchange)
