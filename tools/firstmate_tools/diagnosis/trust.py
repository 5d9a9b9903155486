"""Whether a webhook's caBundle can still make anybody trusted. Pure; for the rule about webhooks' certificates.

Only authorities are looked at: the certificate that a webhook serves lies in a Secret, which is not read.
"""

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from firstmate_tools import fields
from firstmate_tools.fields import Obj

Certificate = dict[str, object]
_MOST = 256_000
"""Characters of a bundle that are parsed: a few hundred authorities."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """The authorities of a caBundle.

    Attributes:
        names: their common names.
        ends: when the last of them ends, None where none could be read.
        given: whether there is a bundle at all.
    """

    names: tuple[str, ...]
    ends: datetime | None
    given: bool


def bundle(client: Obj) -> Bundle:
    """The authorities of a webhook's or APIService's `caBundle`.

    Args:
        client: `clientConfig` of a webhook, `spec` of an APIService.
    """
    import ssl  # only where a call was refused for its certificate

    encoded = fields.text(client, "caBundle")
    if not encoded or len(encoded) > _MOST:
        return Bundle((), None, bool(encoded))
    try:
        content = base64.b64decode(encoded, validate=False).decode("ascii")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=content)
    except (binascii.Error, ValueError, ssl.SSLError):
        return Bundle((), None, True)
    # ssl types what it gives as Any: a mapping of text and of tuples of tuples of pairs.
    found = [cast("Certificate", one) for one in context.get_ca_certs()]
    ends = [ssl.cert_time_to_seconds(str(one["notAfter"])) for one in found if "notAfter" in one]
    last = datetime.fromtimestamp(max(ends), UTC) if ends else None
    return Bundle(tuple(dict.fromkeys(filter(None, map(_common_name, found)))), last, True)


def _common_name(certificate: Certificate) -> str:
    subject = cast("tuple[tuple[tuple[str, str], ...], ...]", certificate.get("subject", ()))
    pairs = [pair for part in subject for pair in part]
    return next((value for key, value in pairs if key in {"commonName", "organizationName"}), "")
