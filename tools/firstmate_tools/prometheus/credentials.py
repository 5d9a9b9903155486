"""How a request to Prometheus says who asks. The seam for other ways: whoever signs requests (SigV4 for Amazon Managed
Service for Prometheus) is one more function of the type `Sign`.

`client.py` calls it once for each request. What it gives goes into that request's headers and nowhere else.
"""

import base64
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from firstmate_tools.errors import ConfigurationError

from .place import PrometheusPlace

Sign = Callable[[str], Mapping[str, str]]
"""Given the whole address of a GET request, the headers that authorise it."""
_LONGEST = 100_000


def sign_for(place: PrometheusPlace) -> Sign:
    """Bearer token, basic authentication, or nothing, as the place says."""

    def headers(_url: str) -> Mapping[str, str]:
        if place.token_file or place.token_env:
            return {"Authorization": f"Bearer {_secret(place.token_file, place.token_env)}"}
        if place.username:
            pair = f"{place.username}:{_secret(place.password_file, place.password_env)}"
            return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode('ascii')}"}
        return {}

    return headers


def _secret(file: str, variable: str) -> str:
    """A secret's text, read anew.

    Raises:
        ConfigurationError: it is not there, or is none that can stand in a header.
    """
    if file:
        try:
            with Path(file).expanduser().open(encoding="utf-8") as content:
                text = content.read(_LONGEST).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"The file {file} with the secret for Prometheus cannot be read.") from error
    else:
        text = os.environ.get(variable, "").strip()
    if not text or not text.isprintable():
        source = f"file {file}" if file else f"environment variable {variable}"
        raise ConfigurationError(f"The {source} holds no secret for Prometheus.")
    return text
