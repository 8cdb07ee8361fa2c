"""SAML responses that are not good, as a provider, another one, or somebody in between might make them."""

from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureMethod
from signxml.signer import XMLSigner

from libs.common.errors import Unauthenticated
from services.auth.domain.sso import Configuration
from services.auth.usecases import saml
from services.auth.usecases.saml import Assertion, Expected
from tests.support.saml import key_and_certificate

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
KEY, CERTIFICATE = key_and_certificate(days=100_000)
OTHER_KEY, OTHER_CERTIFICATE = key_and_certificate(days=100_000)
IT = Configuration(
    "https://id.example.com", "", (), "RS256", ("example.com",), True, (), "groups", {}, True, (), "saml",
    "https://id.example.com/sso", (OTHER_CERTIFICATE, CERTIFICATE), "mail", "name",
)  # fmt: skip
ACS = "https://acme.localhost/api/v1/auth/sso/1/acs"
EXPECTED = Expected("https://acme.localhost/api/v1/auth/sso/1/metadata", ACS, "_request")
NAMES = {
    "p": "urn:oasis:names:tc:SAML:2.0:protocol", "a": "urn:oasis:names:tc:SAML:2.0:assertion",
    "ds": "http://www.w3.org/2000/09/xmldsig#",
}  # fmt: skip

Change = Callable[[Any], object]


def moment(seconds: float = 0) -> str:
    """A time as SAML writes it."""
    return (NOW + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def document() -> Any:
    """A good response, not signed yet."""
    return etree.fromstring(f"""
<p:Response xmlns:p="{NAMES["p"]}" ID="_response" Version="2.0" IssueInstant="{moment()}" Destination="{ACS}"
    InResponseTo="_request"><a:Issuer xmlns:a="{NAMES["a"]}">{IT.issuer}</a:Issuer>
  <p:Status><p:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></p:Status>
  <a:Assertion xmlns:a="{NAMES["a"]}" ID="_assertion" Version="2.0" IssueInstant="{moment()}">
    <a:Issuer>{IT.issuer}</a:Issuer>
    <a:Subject><a:NameID Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent">ann</a:NameID>
      <a:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">
        <a:SubjectConfirmationData InResponseTo="_request" Recipient="{ACS}" NotOnOrAfter="{moment(300)}"/>
      </a:SubjectConfirmation></a:Subject>
    <a:Conditions NotBefore="{moment(-30)}" NotOnOrAfter="{moment(300)}">
      <a:AudienceRestriction><a:Audience>{EXPECTED.entity_id}</a:Audience></a:AudienceRestriction></a:Conditions>
    <a:AuthnStatement AuthnInstant="{moment()}"><a:AuthnContext>
      <a:AuthnContextClassRef>https://refeds.org/profile/mfa</a:AuthnContextClassRef></a:AuthnContext></a:AuthnStatement>
    <a:AttributeStatement>
      <a:Attribute Name="mail"><a:AttributeValue>Ann@Example.com</a:AttributeValue></a:Attribute>
      <a:Attribute Name="name"><a:AttributeValue>Ann</a:AttributeValue></a:Attribute>
      <a:Attribute Name="groups"><a:AttributeValue>sales</a:AttributeValue>
        <a:AttributeValue>it</a:AttributeValue></a:Attribute>
    </a:AttributeStatement>
  </a:Assertion>
</p:Response>""")


def one(root: Any, path: str) -> Any:
    """The one element of a path."""
    (found,) = root.xpath(path, namespaces=NAMES)
    return found


def sign(root: Any, path: str = "//a:Assertion", key: str = KEY, **how: Any) -> Any:
    """The document with a signature over one of its elements, where SAML puts it."""
    settings = {
        "signature_algorithm": SignatureMethod.RSA_SHA256, "digest_algorithm": DigestAlgorithm.SHA256,
        "c14n_algorithm": CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
    } | how  # fmt: skip
    element = one(root, path)
    tree = etree.fromstring(etree.tostring(element))
    place = etree.Element(f"{{{NAMES['ds']}}}Signature", {"Id": "placeholder"}, {"ds": NAMES["ds"]})
    tree.insert(1, place)
    uri = f"#{element.get('ID')}"
    signed = XMLSigner(**settings).sign(tree, key=key, reference_uri=uri, id_attribute="ID")
    if element is root:
        return signed
    element.getparent().replace(element, signed)
    return root


def read(root: Any, it: Configuration = IT, now: datetime = NOW, raw: bytes | None = None) -> Assertion:
    """What is made of a document."""
    return saml.read(b64encode(raw if raw is not None else etree.tostring(root)).decode(), it, EXPECTED, now)


def refuses(root: Any, **how: Any) -> None:
    """The document is refused, as any other is."""
    with pytest.raises(Unauthenticated) as told:
        read(root, **how)
    assert told.value.code == "sso-refused"


def test_a_good_answer_tells_who_it_is() -> None:
    """The subject, the address, the name, the groups and a second factor; by any of the certificates."""
    for path in ("//a:Assertion", "/p:Response"):
        told = read(sign(document(), path))
        assert told.id == "_assertion"
        vouched = told.vouched
        assert (vouched.subject, vouched.email, vouched.name) == ("ann", "ann@example.com", "Ann")
        assert (vouched.claimed, vouched.mfa) == (("sales", "it"), True)
    assert read(sign(sign(document()), "/p:Response")).vouched == vouched


def test_it_can_be_late_and_early_by_a_little() -> None:
    """A minute of skew, and no more; and what is taken is remembered until nobody would take it."""
    root = sign(document())
    for seconds in (-59, 359):
        assert read(root, now=NOW + timedelta(seconds=seconds)).forgettable_at > NOW + timedelta(minutes=11)
    for seconds in (-91, 361, 3600):
        refuses(root, now=NOW + timedelta(seconds=seconds))


def drop(path: str) -> Change:
    """Takes an element away."""

    def change(root: Any) -> None:
        element = one(root, path)
        element.getparent().remove(element)

    return change


def put(path: str, name: str, value: str | None) -> Change:
    """Sets an attribute, or takes it away."""

    def change(root: Any) -> None:
        element = one(root, path)
        element.attrib.pop(name, None)
        if value is not None:
            element.set(name, value)

    return change


def say(path: str, text: str) -> Change:
    """Says something else."""
    return lambda root: setattr(one(root, path), "text", text)


DATA = "//a:SubjectConfirmationData"
WRONG: dict[str, Change] = {
    "another recipient": put(DATA, "Recipient", "https://evil.example/acs"),
    "a longer recipient": put(DATA, "Recipient", f"{ACS}/x"),
    "no recipient": put(DATA, "Recipient", None),
    "another request": put(DATA, "InResponseTo", "_other"),
    "no request": put(DATA, "InResponseTo", None),
    "no end": put(DATA, "NotOnOrAfter", None),
    "no time": put(DATA, "NotOnOrAfter", "soon"),
    "confirmed too late": put(DATA, "NotOnOrAfter", moment(-61)),
    "confirmed too early": put(DATA, "NotBefore", moment(61)),
    "another confirmation": put("//a:SubjectConfirmation", "Method", "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches"),
    "no confirmation": drop("//a:SubjectConfirmation"),
    "no subject": drop("//a:Subject"),
    "no name": drop("//a:NameID"),
    "an empty name": say("//a:NameID", " "),
    "a name for once": put("//a:NameID", "Format", "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"),
    "another audience": say("//a:Audience", "https://other.example"),
    "no audience": drop("//a:AudienceRestriction"),
    "no conditions": drop("//a:Conditions"),
    "over": put("//a:Conditions", "NotOnOrAfter", moment(-61)),
    "not yet": put("//a:Conditions", "NotBefore", moment(61)),
    "an unknown condition": lambda root: etree.SubElement(one(root, "//a:Conditions"), f"{{{NAMES['a']}}}Condition"),
    "another issuer": say("//a:Assertion/a:Issuer", "https://evil.example"),
    "another issuer of the response": say("/p:Response/a:Issuer", "https://evil.example"),
    "an old assertion": put("//a:Assertion", "IssueInstant", moment(-700)),
    "an assertion to come": put("//a:Assertion", "IssueInstant", moment(61)),
    "no sign-in": drop("//a:AuthnStatement"),
    "a session that is over": put("//a:AuthnStatement", "SessionNotOnOrAfter", moment(-61)),
    "no success": put("//p:StatusCode", "Value", "urn:oasis:names:tc:SAML:2.0:status:Responder"),
    "another destination": put("/p:Response", "Destination", "https://evil.example/acs"),
    "a response to another request": put("/p:Response", "InResponseTo", "_other"),
    "an unsolicited response": put("/p:Response", "InResponseTo", None),
    "another version": put("/p:Response", "Version", "1.1"),
    "another version of the assertion": put("//a:Assertion", "Version", "1.1"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_refused_though_it_is_signed(what: str) -> None:
    """Each fact is asked for, whichever of the two is signed."""
    for path in ("//a:Assertion", "/p:Response"):
        root = document()
        WRONG[what](root)
        refuses(sign(root, path))


def test_what_is_not_signed_is_refused() -> None:
    """Nothing, another's key, a changed text, an old algorithm, a shared secret, and a certificate that is over."""
    refuses(document())
    refuses(sign(document(), key=OTHER_KEY), it=with_certificates(CERTIFICATE))
    changed = sign(document())
    one(changed, "//a:NameID").text = "bob"
    refuses(changed)
    outside = sign(document())
    WRONG["another issuer of the response"](outside)
    refuses(outside)
    weak = SignatureMethod.HMAC_SHA256
    refuses(sign(document(), key=CERTIFICATE, signature_algorithm=weak))
    key, expired = key_and_certificate(days=-1)
    refuses(sign(document(), key=key), it=with_certificates(expired))


def with_certificates(*certificates: str) -> Configuration:
    """The provider with other certificates."""
    return Configuration(
        **{field: getattr(IT, field) for field in IT.__struct_fields__} | {"certificates": certificates}
    )


def wrapped_beside(root: Any) -> None:
    """XSW: the signed assertion stays, a forged one stands before it."""
    real = one(root, "//a:Assertion")
    real.addprevious(forged(real, "_forged"))


def wrapped_inside(root: Any) -> None:
    """XSW: a forged assertion holds the signed one in its signature."""
    real = one(root, "//a:Assertion")
    false = forged(real, "_forged")
    real.addprevious(false)
    signature = real.find("ds:Signature", NAMES)
    false.insert(1, signature)
    etree.SubElement(signature, f"{{{NAMES['ds']}}}Object").append(real)


def wrapped_with_its_id(root: Any) -> None:
    """XSW: a forged assertion has the id of the signed one."""
    real = one(root, "//a:Assertion")
    real.addprevious(forged(real, "_assertion"))


def wrapped_in_extensions(root: Any) -> None:
    """XSW: the signed assertion hides among the extensions."""
    real = one(root, "//a:Assertion")
    false = forged(real, "_forged")
    real.addprevious(false)
    extensions = etree.Element(f"{{{NAMES['p']}}}Extensions")
    root.insert(1, extensions)
    extensions.append(real)


def wrapped_whole(root: Any) -> Any:
    """XSW: the signed response is a part of a forged one."""
    false = etree.fromstring(etree.tostring(document()))
    one(false, "//a:NameID").text = "bob"
    false.set("ID", "_forged")
    etree.SubElement(false, f"{{{NAMES['ds']}}}Object").append(root)
    false.insert(1, root.find("ds:Signature", NAMES))
    return false


def forged(real: Any, id_: str) -> Any:
    """A copy that speaks of somebody else, without the signature."""
    false = etree.fromstring(etree.tostring(real))
    false.set("ID", id_)
    one(false, "//a:NameID").text = "bob"
    signature = false.find("ds:Signature", NAMES)
    if signature is not None:
        false.remove(signature)
    return false


@pytest.mark.parametrize("wrap", [wrapped_beside, wrapped_inside, wrapped_with_its_id, wrapped_in_extensions])
def test_a_wrapped_assertion_is_refused(wrap: Change) -> None:
    """A signature is over the very assertion that is read, and there is no other."""
    root = sign(document())
    wrap(root)
    refuses(root)


def test_a_wrapped_response_is_refused() -> None:
    """Whether the signature is left where it was or moved to the forged one."""
    refuses(wrapped_whole(sign(document(), "/p:Response")))


def test_a_signature_over_something_else_is_refused() -> None:
    """One of the response that stands in the assertion, and one that covers nothing of it."""
    root = sign(document(), "/p:Response")
    one(root, "//a:Assertion").insert(1, root.find("ds:Signature", NAMES))
    refuses(root)
    root = document()
    etree.SubElement(root, f"{{{NAMES['p']}}}Extensions").set("ID", "_else")
    signature = sign(document())
    one(signature, "//ds:Reference").set("URI", "#_else")
    refuses(signature)


def test_transforms_that_run_programs_are_refused() -> None:
    """A style sheet among the transforms is none that is known."""
    root = sign(document())
    transforms = one(root, "//ds:Transforms")
    transforms.insert(
        0, etree.Element(f"{{{NAMES['ds']}}}Transform", {"Algorithm": "http://www.w3.org/TR/1999/REC-xslt-19991116"})
    )
    refuses(root)


TYPED = (
    b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>',
    b'<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">',
    b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
    b"<?xml-stylesheet href='x'?>",
    b"<!-- a comment -->",
)


def test_document_types_entities_and_comments_are_refused() -> None:
    """Before anything is parsed, also behind an XML declaration."""
    good = etree.tostring(sign(document()))
    assert read(None, raw=b'<?xml version="1.0" encoding="UTF-8"?>' + good).id == "_assertion"
    for typed in TYPED:
        refuses(None, raw=typed + good)
        refuses(None, raw=b'<?xml version="1.0"?>' + typed + good)


def test_a_comment_does_not_cut_a_name() -> None:
    """`ann@example.com<!-- -->.evil.example` is one name to a signature, and might be two to who reads it."""
    good = etree.tostring(sign(document()))
    refuses(None, raw=good.replace(b"Ann@Example.com", b"Ann@Example.com<!-- -->.evil.example"))


def test_what_is_no_document_is_refused() -> None:
    """Neither noise nor too much, nor what is written in another encoding."""
    for text in ("", "%%%", "é", "PHg+", b64encode(b"<x/>").decode(), "A" * (saml.MAX_RESPONSE + 4)):
        with pytest.raises(Unauthenticated):
            saml.read(text, IT, EXPECTED, NOW)
    refuses(None, raw=etree.tostring(sign(document()), encoding="utf-16"))
    refuses(None, raw=b"<a>" * 50_000)
