"""Certificates for one test, signed by a CA that lives as long as it does."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(name: str) -> x509.GeneralName:
    return x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name)


class Pki:
    """Makes server and client certificates in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._ca = self._signed("throwaway", self._key.public_key(), x509.BasicConstraints(ca=True, path_length=None))
        self.ca_pem = self._ca.public_bytes(serialization.Encoding.PEM)
        self.ca_path = folder / "throwaway-ca.pem"
        self.ca_path.write_bytes(self.ca_pem)

    def _signed(self, name: str, key: ec.EllipticCurvePublicKey, extension: x509.ExtensionType) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(issuer_name=_name("throwaway"), subject_name=_name(name), public_key=key)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
        return builder.add_extension(extension, critical=False).sign(self._key, hashes.SHA256())

    def pair(self, name: str, *alternatives: str) -> tuple[bytes, bytes]:
        """A certificate and its key in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([_alternative(one) for one in alternatives or (name,)])
        certificate = self._signed(name, key.public_key(), names)
        form = serialization.PrivateFormat.PKCS8
        private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        return certificate.public_bytes(serialization.Encoding.PEM), private

    def server(self, *names: str) -> ssl.SSLContext:
        """A server's TLS context with a certificate for these names."""
        path = self._folder / "server.pem"
        path.write_bytes(b"\n".join(self.pair(names[0], *names)))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context
