"""Throw-away certificates of one lab: a certificate authority, a pair for each client and server, kubeconfigs.

Called when a lab starts, and by tests that want a kubeconfig for a user with fewer rights. The keys guard nothing but a
control plane on 127.0.0.1 that lives for minutes; must never be used for anything else.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID_FOR = datetime.timedelta(days=30)
_EARLIER = datetime.timedelta(hours=1)  # a clock that is a little behind must not refuse the certificate


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, as PEM files."""

    cert: Path
    key: Path


class Authority:
    """A certificate authority whose files lie in one folder; made when it is not there yet."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.folder = folder
        self.pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
        if self.pair.cert.is_file():
            self._cert = x509.load_pem_x509_certificate(self.pair.cert.read_bytes())
            key = serialization.load_pem_private_key(self.pair.key.read_bytes(), password=None)
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise TypeError(f"{self.pair.key} is no elliptic-curve key")
            self._key = key
            return
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"firstmate-lab-{name}")])
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        builder = _builder(subject, subject, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        self._cert = builder.add_extension(usage, critical=True).sign(self._key, hashes.SHA256())
        _write(self.pair, self._cert, self._key)

    def client(self, file: str, user: str, groups: tuple[str, ...] = ()) -> Pair:
        """A client pair: Kubernetes reads the common name as the user, and the organizations as its groups."""
        return self._issue(file, user, groups, ExtendedKeyUsageOID.CLIENT_AUTH, ())

    def server(self, file: str, user: str, names: tuple[str, ...]) -> Pair:
        """A server pair for host names and IP addresses."""
        return self._issue(file, user, (), ExtendedKeyUsageOID.SERVER_AUTH, names)

    def _issue(
        self, file: str, user: str, groups: tuple[str, ...], usage: x509.ObjectIdentifier, names: tuple[str, ...]
    ) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, user)])
        builder = _builder(subject, self._cert.subject, key.public_key())
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        # Python 3.13 and later refuse a certificate that does not name its authority's key.
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(authority, critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_san(name) for name in names]), critical=False)
        pair = Pair(self.folder / f"{file}.crt", self.folder / f"{file}.key")
        _write(pair, builder.sign(self._key, hashes.SHA256()), key)
        return pair


def service_account_keys(folder: Path) -> Pair:
    """The key pair that signs service-account tokens; `cert` holds the bare public key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pair = Pair(folder / "service-account.pub", folder / "service-account.key")
    public = serialization.PublicFormat.SubjectPublicKeyInfo
    pair.cert.write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, public))
    _write_key(pair.key, key)
    return pair


def write_kubeconfig(path: Path, *, name: str, server: str, authority: Authority, client: Pair) -> Path:
    """A kubeconfig that carries its certificates, so that the one file can be handed around (JSON is YAML)."""

    def data(file: Path) -> str:
        return base64.b64encode(file.read_bytes()).decode()

    context = f"firstmate-lab-{name}"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "clusters": [
            {"name": context, "cluster": {"server": server, "certificate-authority-data": data(authority.pair.cert)}}
        ],
        "users": [
            {
                "name": path.stem,
                "user": {"client-certificate-data": data(client.cert), "client-key-data": data(client.key)},
            }
        ],
        "contexts": [{"name": context, "context": {"cluster": context, "user": path.stem}}],
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(config, indent=1))
    return path


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + VALID_FOR)
    )


def _san(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(pair: Pair, cert: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    pair.cert.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    _write_key(pair.key, key)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.TraditionalOpenSSL, plain))
