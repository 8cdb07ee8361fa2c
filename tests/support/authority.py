"""A certificate authority for tests, and the files that processes and servers are given of it."""

import datetime
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_HOUR = datetime.timedelta(hours=1)


@dataclass(frozen=True)
class Files:
    """The paths of a certificate, of its key, and of the authority that has signed it."""

    certificate: str
    key: str
    authority: str

    @property
    def settings(self) -> dict[str, str]:
        """The fields that give them to a process."""
        return {"tls_cert_file": self.certificate, "tls_key_file": self.key, "tls_ca_file": self.authority}

    @property
    def serial(self) -> int:
        """The number of the certificate."""
        return x509.load_pem_x509_certificate(Path(self.certificate).read_bytes()).serial_number


@dataclass
class Authority:
    """Signs certificates for 127.0.0.1 and localhost, and writes them into a directory."""

    directory: Path
    name: str = "authority"
    _key: EllipticCurvePrivateKey = field(default_factory=lambda: generate_private_key(SECP256R1()))

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        own = self._builder(self.name, self._key).add_extension(x509.BasicConstraints(True, 0), critical=True)
        self._path(self.name, "crt").write_bytes(own.sign(self._key, SHA256()).public_bytes(Encoding.PEM))

    def issue(self, name: str) -> Files:
        """A new certificate of this name, in the place of one that there was."""
        key = generate_private_key(SECP256R1())
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost")])
        uses = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        built = self._builder(name, key).add_extension(names, critical=False).add_extension(uses, critical=False)
        self._path(name, "crt").write_bytes(built.sign(self._key, SHA256()).public_bytes(Encoding.PEM))
        path = self._path(name, "key")
        path.touch(mode=0o600)
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return Files(str(self._path(name, "crt")), str(path), str(self._path(self.name, "crt")))

    def _builder(self, name: str, key: EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _HOUR)
            .not_valid_after(now + _HOUR)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )

    def _path(self, name: str, ending: str) -> Path:
        return self.directory / f"{name}.{ending}"
