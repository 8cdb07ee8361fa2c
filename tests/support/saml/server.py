"""`server.py DIRECTORY PORT`: pysaml2 as a SAML identity provider that asks no one, and signs with libxmlsec1."""

import json
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIRequestHandler, make_server

import xmlsec
from lxml import etree
from saml2 import BINDING_HTTP_POST, BINDING_HTTP_REDIRECT
from saml2.config import IdPConfig
from saml2.saml import NameID
from saml2.server import Server
from saml2.sigver import CryptoBackend

DIRECTORY, PORT = Path(sys.argv[1]), int(sys.argv[2])
BASE = f"http://127.0.0.1:{PORT}"
NOW: dict[str, Any] = {}


class Libxmlsec(CryptoBackend):
    """Signs what pysaml2 prepared, without a program of its own."""

    def sign_statement(self, statement: Any, node_name: str, key_file: str, node_id: str) -> str:
        """The statement with its signature."""
        root = etree.fromstring(statement if isinstance(statement, bytes) else str(statement).encode())
        (node,) = root.xpath("//*[@ID=$id]", id=node_id)
        context = xmlsec.SignatureContext()
        context.key = xmlsec.Key.from_file(key_file, xmlsec.constants.KeyDataFormatPem)
        xmlsec.tree.add_ids(root, ["ID"])
        context.sign(node.find("ds:Signature", {"ds": "http://www.w3.org/2000/09/xmldsig#"}))
        return str(etree.tostring(root).decode())


def provider() -> Server:
    """The provider, which knows no service provider yet."""
    config = IdPConfig().load({
        "entityid": f"{BASE}/metadata",
        "crypto_backend": "XMLSecurity",
        "key_file": str(DIRECTORY / "key.pem"),
        "cert_file": str(DIRECTORY / "certificate.pem"),
        "metadata": {},
        "service": {"idp": {
            "endpoints": {"single_sign_on_service": [(f"{BASE}/sso", BINDING_HTTP_REDIRECT)]},
            "policy": {"default": {"lifetime": {"minutes": 5}, "attribute_restrictions": None}},
        }},
    })  # fmt: skip
    server = Server(config=config)
    server.sec.crypto = Libxmlsec()
    return server


IT = provider()


def answer(query: dict[str, list[str]]) -> str:
    """The page with the form that goes back to the service provider that asked."""
    asked = IT.parse_authn_request(query["SAMLRequest"][0], BINDING_HTTP_REDIRECT).message
    arguments = IT.response_args(asked, bindings=[BINDING_HTTP_POST])
    arguments.pop("binding", None)
    name = NameID(format=NOW["format"], text=NOW["subject"])
    told = {
        "identity": NOW["attributes"], "name_id": name, "authn": {"class_ref": NOW["context"]},
        "sign_assertion": True, "sign_response": False, **arguments, **NOW["changes"],
        "sign_alg": "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
        "digest_alg": "http://www.w3.org/2001/04/xmlenc#sha256",
    }  # fmt: skip
    response = IT.create_authn_response(**told)
    sent = IT.apply_binding(
        BINDING_HTTP_POST, str(response), arguments["destination"], query["RelayState"][0], response=True
    )
    return str(sent["data"])


def application(environ: Any, start: Any) -> list[bytes]:
    """What the browser asks, and what the test does: who sits there, and who may ask."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    told = b""
    if environ["PATH_INFO"] == "/session":
        NOW.update(json.loads(body))
    elif environ["PATH_INFO"] == "/peers":
        IT.metadata.load("inline", body.decode())
    elif environ["PATH_INFO"] == "/sso":
        told = re.sub(r"\s+", " ", answer(parse_qs(environ["QUERY_STRING"]))).encode()
    start("200 OK", [("content-type", "text/html")])
    return [told]


class Quiet(WSGIRequestHandler):
    """Notes nothing."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing."""


if __name__ == "__main__":
    make_server("127.0.0.1", PORT, application, handler_class=Quiet).serve_forever()
