"""SAML 2.0 as a service provider: what goes to an identity provider, and what of its answer is believed.

Only what a signature covers is read (`signxml` returns it), and only documents of the plainest shape are looked at: one
assertion, no comments, no document types, each id once. Whatever else a document says is refused, never worked around.
"""

import zlib
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.exceptions import SignXMLException
from signxml.verifier import SignatureConfiguration, XMLVerifier

from libs.common.errors import Fault
from services.auth.domain import people
from services.auth.domain.sso import MAX_AGE_SECONDS, MAX_TEXT, Configuration, Vouched, refused

MAX_RESPONSE = 256 * 1024
MAX_CERTIFICATES = 5
MAX_PEM = 16 * 1024
SKEW = timedelta(seconds=60)
LIFE = timedelta(seconds=MAX_AGE_SECONDS)

_PROTOCOL = "urn:oasis:names:tc:SAML:2.0:protocol"
_ASSERTION = "urn:oasis:names:tc:SAML:2.0:assertion"
_METADATA = "urn:oasis:names:tc:SAML:2.0:metadata"
_POST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
_BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
_SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"
_TRANSIENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
_ADDRESS = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
_PREFIXES: dict[Any, str] = {None: _METADATA}
_NAMES = {"p": _PROTOCOL, "a": _ASSERTION, "ds": "http://www.w3.org/2000/09/xmldsig#"}
_CONDITIONS = frozenset(f"{{{_ASSERTION}}}{name}" for name in ("AudienceRestriction", "OneTimeUse", "ProxyRestriction"))
# Contexts that tell of two factors.
_TWO_FACTORS = frozenset((
    "https://refeds.org/profile/mfa", "http://schemas.microsoft.com/claims/multipleauthn",
    "urn:oasis:names:tc:SAML:2.0:ac:classes:MobileTwoFactorContract",
    "urn:oasis:names:tc:SAML:2.0:ac:classes:TimeSyncToken",
))  # fmt: skip
_METHODS = frozenset((
    SignatureMethod.RSA_SHA256, SignatureMethod.RSA_SHA384, SignatureMethod.RSA_SHA512,
    SignatureMethod.SHA256_RSA_MGF1, SignatureMethod.SHA384_RSA_MGF1, SignatureMethod.SHA512_RSA_MGF1,
    SignatureMethod.ECDSA_SHA256, SignatureMethod.ECDSA_SHA384, SignatureMethod.ECDSA_SHA512,
))  # fmt: skip
_DIGESTS = frozenset((DigestAlgorithm.SHA256, DigestAlgorithm.SHA384, DigestAlgorithm.SHA512))

Element = etree._Element


class Expected(msgspec.Struct, frozen=True):
    """What an answer has to name: us, the place that it was sent to, and the request that it answers."""

    entity_id: str
    acs: str
    request_id: str


class Assertion(msgspec.Struct, frozen=True):
    """What a good answer says; its id is not taken again until `forgettable_at`, when it is too old anyway."""

    id: str
    forgettable_at: datetime
    vouched: Vouched


def check(it: Configuration, *, plain: bool) -> list[Fault]:
    """Faults of what only a SAML provider has; `plain` lets it be reached without TLS."""
    faults = []
    url = urlsplit(it.sso_url) if _is_text(it.sso_url, 2048) else None
    if url is None or url.scheme not in (("https", "http") if plain else ("https",)) or not url.netloc or url.fragment:
        faults.append(Fault("/sso_url", "invalid_url", "An https URL is expected"))
    if not _is_text(it.issuer, 1024):
        faults.append(Fault("/issuer", "invalid_text", "The entity id of the provider is expected"))
    if not 1 <= len(it.certificates) <= MAX_CERTIFICATES:
        faults.append(Fault("/certificates", "invalid_count", f"1 to {MAX_CERTIFICATES} certificates are expected"))
    faults += [
        Fault(f"/certificates/{index}", "invalid_certificate", "An X.509 certificate in PEM with a strong key, please")
        for index, text in enumerate(it.certificates)
        if not _is_certificate(text)
    ]
    named = {"email_attribute": it.email_attribute, "name_attribute": it.name_attribute}
    faults += [
        Fault(f"/{name}", "invalid_text", "Printable characters without spaces are expected")
        for name, text in named.items()
        if text is not None and not _is_text(text, MAX_TEXT)
    ]
    return faults


def metadata(expected_at: str, acs: str) -> bytes:
    """Our metadata (SAML 2.0 Metadata §2.4.4): entity id, and where answers are taken."""
    entity = etree.Element(f"{{{_METADATA}}}EntityDescriptor", {"entityID": expected_at}, _PREFIXES)
    role = etree.SubElement(
        entity, f"{{{_METADATA}}}SPSSODescriptor",
        {"AuthnRequestsSigned": "false", "WantAssertionsSigned": "true", "protocolSupportEnumeration": _PROTOCOL},
    )  # fmt: skip
    etree.SubElement(role, f"{{{_METADATA}}}NameIDFormat").text = _ADDRESS
    place = {"Binding": _POST, "Location": acs, "index": "0", "isDefault": "true"}
    etree.SubElement(role, f"{{{_METADATA}}}AssertionConsumerService", place)
    return etree.tostring(entity, xml_declaration=True, encoding="utf-8")


def request_url(it: Configuration, expected: Expected, state: str, now: datetime) -> str:
    """Where the browser goes to: an AuthnRequest by the redirect binding (SAML 2.0 Bindings §3.4)."""
    asked = {
        "ID": expected.request_id, "Version": "2.0", "IssueInstant": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "Destination": it.sso_url, "ProtocolBinding": _POST, "AssertionConsumerServiceURL": expected.acs,
    }  # fmt: skip
    request = etree.Element(f"{{{_PROTOCOL}}}AuthnRequest", asked, {"samlp": _PROTOCOL, "saml": _ASSERTION})
    etree.SubElement(request, f"{{{_ASSERTION}}}Issuer").text = expected.entity_id
    etree.SubElement(request, f"{{{_PROTOCOL}}}NameIDPolicy", {"AllowCreate": "true"})
    packed = zlib.compress(etree.tostring(request), wbits=-15)
    query = urlencode({"SAMLRequest": b64encode(packed).decode(), "RelayState": state})
    return f"{it.sso_url}{'&' if urlsplit(it.sso_url).query else '?'}{query}"


def read(response: str, it: Configuration, expected: Expected, now: datetime) -> Assertion:
    """What an answer says that is good (SAML 2.0 Core §2, Profiles §4.1.4); any other is refused."""
    try:
        root = _parse(response)
        assertion, is_whole = _signed(root, it)
        _judge_response(root, it, expected, is_whole)
        return _judge(assertion, it, expected, now)
    except (SignXMLException, etree.LxmlError, Base64Error, ValueError, TypeError, KeyError, AttributeError):
        raise refused() from None


def _parse(response: str) -> Element:
    """The document, where it has the one shape that is taken."""
    if len(response) > MAX_RESPONSE:
        raise refused()
    text = b64decode("".join(response.split()), validate=True).decode("utf-8")
    body = text.partition("?>")[2] if text.startswith("<?xml ") else text
    # No document types, entities, comments, CDATA or processing instructions: none can begin otherwise.
    if "<!" in body or "<?" in body:
        raise refused()
    parser = etree.XMLParser(encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False)
    root: Element = etree.fromstring(text.encode(), parser)
    ids = _all(root, "//@ID | //@Id | //@id")
    places = _all(root, "/p:Response/ds:Signature | /p:Response/a:Assertion/ds:Signature")
    if (
        root.tag != f"{{{_PROTOCOL}}}Response"
        or len(_all(root, "//a:Assertion")) != 1
        or len(root.findall("a:Assertion", _NAMES)) != 1
        or _all(root, "//a:EncryptedAssertion")
        or len(ids) != len(set(ids))
        or len(places) != len(_all(root, "//ds:Signature"))
    ):
        raise refused()
    return root


def _signed(root: Element, it: Configuration) -> tuple[Element, bool]:
    """The assertion as it was signed, and whether the answer around it was; a signature that is wrong is refused."""
    assertion = None
    whole = root.find("ds:Signature", _NAMES) is not None
    if whole:
        assertion = _verified(root, it, "./", root).find("a:Assertion", _NAMES)
    inner = root.find("a:Assertion", _NAMES)
    if inner is not None and inner.find("ds:Signature", _NAMES) is not None:
        assertion = _verified(root, it, f"./{{{_ASSERTION}}}Assertion/", inner)
    if assertion is None:
        raise refused()
    return assertion, whole


def _verified(root: Element, it: Configuration, location: str, place: Element) -> Element:
    """What the signature at a place covers, which is that very element."""
    expect = SignatureConfiguration(location=location, signature_methods=_METHODS, digest_algorithms=_DIGESTS)
    for certificate in it.certificates:
        try:
            found = XMLVerifier().verify(
                etree.tostring(root), x509_cert=certificate, expect_config=expect, id_attribute="ID"
            )
        except (SignXMLException, ValueError, KeyError):
            continue
        if isinstance(found, list) or found.signed_xml is None:
            break
        signed = found.signed_xml
        if signed.tag == place.tag and place.get("ID") and signed.get("ID") == place.get("ID"):
            return signed
    raise refused()


def _judge_response(root: Element, it: Configuration, expected: Expected, whole: bool) -> None:
    issuer, code = root.find("a:Issuer", _NAMES), root.find("p:Status/p:StatusCode", _NAMES)
    destination = root.get("Destination")
    good = (
        root.get("Version") == "2.0"
        and code is not None
        and code.get("Value") == _SUCCESS
        and (issuer is None or _text(issuer) == it.issuer)
        and root.get("InResponseTo") == expected.request_id
        and (destination == expected.acs or (destination is None and not whole))
    )
    if not good:
        raise refused()


def _judge(assertion: Element, it: Configuration, expected: Expected, now: datetime) -> Assertion:
    issuer, issued = assertion.find("a:Issuer", _NAMES), _time(assertion.get("IssueInstant"))
    (conditions,) = assertion.findall("a:Conditions", _NAMES)
    (subject,) = assertion.findall("a:Subject", _NAMES)
    (name_id,) = subject.findall("a:NameID", _NAMES)
    statements = assertion.findall("a:AuthnStatement", _NAMES)
    ends = [_time(it.get("SessionNotOnOrAfter")) for it in statements if it.get("SessionNotOnOrAfter")]
    good = (
        assertion.get("Version") == "2.0"
        and issuer is not None
        and _text(issuer) == it.issuer
        and now - LIFE - SKEW <= issued <= now + SKEW
        and _in_time(conditions, now)
        and all(condition.tag in _CONDITIONS for condition in conditions)
        and _is_for(conditions, expected.entity_id)
        and any(_confirms(it, expected, now) for it in subject.findall("a:SubjectConfirmation", _NAMES))
        and statements
        and all(now < end + SKEW for end in ends)
        and name_id.get("Format") != _TRANSIENT
    )
    if not good:
        raise refused()
    return Assertion(str(assertion.attrib["ID"]), issued + LIFE + 2 * SKEW, _vouched(assertion, name_id, it))


def _confirms(confirmation: Element, expected: Expected, now: datetime) -> bool:
    """Whether whoever brings the answer may be the subject (Profiles §4.1.4.3)."""
    data = confirmation.find("a:SubjectConfirmationData", _NAMES)
    return (
        confirmation.get("Method") == _BEARER
        and data is not None
        and data.get("Recipient") == expected.acs
        and data.get("InResponseTo") == expected.request_id
        and data.get("NotOnOrAfter") is not None
        and _in_time(data, now)
    )


def _is_for(conditions: Element, entity_id: str) -> bool:
    """Whether each restriction, of which there is one, names us."""
    restrictions = conditions.findall("a:AudienceRestriction", _NAMES)
    named = [[_text(it) for it in restriction.findall("a:Audience", _NAMES)] for restriction in restrictions]
    return bool(named) and all(entity_id in audiences for audiences in named)


def _in_time(element: Element, now: datetime) -> bool:
    before, after = element.get("NotBefore"), element.get("NotOnOrAfter")
    return (before is None or _time(before) <= now + SKEW) and (after is None or now < _time(after) + SKEW)


def _vouched(assertion: Element, name_id: Element, it: Configuration) -> Vouched:
    subject = _text(name_id)
    if not 0 < len(subject) <= 255:
        raise refused()
    email = _value(assertion, it.email_attribute) if it.email_attribute else subject
    address = people.normalize_email(email) if email else None
    name = _value(assertion, it.name_attribute) if it.name_attribute else None
    classes = {_text(found) for found in assertion.iterfind(".//a:AuthnContextClassRef", _NAMES)}
    return Vouched(
        subject,
        address if address and not people.check_email(address) else None,
        name.strip() if name and not people.check_name(name) else None,
        tuple(_values(assertion, it.role_claim)[:1000]) if it.role_claim else (),
        it.trusts_mfa and bool(classes & _TWO_FACTORS),
    )


def _value(assertion: Element, name: str) -> str | None:
    """The value of an attribute that has one."""
    found = _values(assertion, name)
    return found[0] if len(found) == 1 else None


def _values(assertion: Element, name: str) -> list[str]:
    attributes = assertion.iterfind("a:AttributeStatement/a:Attribute", _NAMES)
    values = (it.findall("a:AttributeValue", _NAMES) for it in attributes if it.get("Name") == name)
    return [_text(value) for of_one in values for value in of_one]


def _all(root: Element, path: str) -> list[Any]:
    found: Any = root.xpath(path, namespaces=_NAMES)
    return list(found)


def _text(element: Element) -> str:
    """The text of an element that has nothing else in it."""
    if len(element):
        raise refused()
    return (element.text or "").strip()


def _time(text: str | None) -> datetime:
    moment = datetime.fromisoformat(text or "")
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _is_text(text: str, most: int) -> bool:
    return 0 < len(text) <= most and text.isascii() and text.isprintable() and " " not in text


def _is_certificate(text: str) -> bool:
    try:
        key = x509.load_pem_x509_certificate(text.encode()).public_key() if len(text) <= MAX_PEM else None
    except (ValueError, TypeError, x509.UnsupportedGeneralNameType):
        return False
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size >= 2048
    return isinstance(key, ec.EllipticCurvePublicKey) and key.key_size >= 256
