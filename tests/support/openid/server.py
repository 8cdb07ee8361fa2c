"""`server.py DIRECTORY PORT`: django-oauth-toolkit as an OpenID provider that knows one client and asks no one."""

import json
import sys
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings

CLIENT_ID = "millrace"
CLIENT_SECRET = "the secret of the client"
DIRECTORY, PORT = Path(sys.argv[1]), int(sys.argv[2])
KEY = rsa.generate_private_key(65537, 2048).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
NOW: dict[str, Any] = {"subject": "", "claims": {}}

settings.configure(
    SECRET_KEY="of a test",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DIRECTORY / "provider.sqlite"}},
    INSTALLED_APPS=[
        "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "oauth2_provider"
    ],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware", f"{__name__}.SignedIn"],
    OAUTH2_PROVIDER={
        "OIDC_ENABLED": True,
        "OIDC_RSA_PRIVATE_KEY": KEY.decode(),
        "PKCE_REQUIRED": True,
        "ALLOWED_REDIRECT_URI_SCHEMES": ["http", "https"],
        "OAUTH2_VALIDATOR_CLASS": f"{__name__}.Validator",
        "SCOPES": {"openid": "", "email": "", "profile": ""},
    },
)  # fmt: skip
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.urls import include, path  # noqa: E402
from oauth2_provider.models import Application  # noqa: E402
from oauth2_provider.oauth2_validators import OAuth2Validator  # noqa: E402


class Validator(OAuth2Validator):
    """Puts the claims of the moment into ID tokens and user info."""

    oidc_claim_scope = None

    def get_additional_claims(self, request: Any) -> dict[str, Any]:
        """Whatever the test said."""
        return {"sub": NOW["subject"], **NOW["claims"]}


class SignedIn:
    """Everyone who comes is the one that the test named."""

    def __init__(self, next_: Any) -> None:
        self._next = next_

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Passes a request on as that one."""
        if NOW["subject"]:
            request.user = User.objects.get_or_create(username=NOW["subject"])[0]
        answer: HttpResponse = self._next(request)
        return answer


def session(request: HttpRequest) -> HttpResponse:
    """Who sits at the browser from now on; the test says so."""
    NOW.update(json.loads(request.body))
    return HttpResponse(status=204)


class Quiet(WSGIRequestHandler):
    """Notes nothing."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing."""


def may_return(_: Application, uri: str) -> bool:
    """Anywhere over HTTP, since hosts and ports are others in each test."""
    return uri.startswith("http")


urlpatterns = [
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    path("session", session),
]

if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    Application.redirect_uri_allowed = may_return
    Application.objects.create(
        client_id=CLIENT_ID, client_secret=CLIENT_SECRET, client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE, redirect_uris="http://localhost",
        skip_authorization=True, algorithm=Application.RS256_ALGORITHM,
    )  # fmt: skip
    make_server("127.0.0.1", PORT, get_wsgi_application(), handler_class=Quiet).serve_forever()
