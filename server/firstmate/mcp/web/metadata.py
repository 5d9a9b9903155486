"""What a client reads to find out where to get a token: the metadata of an OAuth protected resource (RFC 9728).

Served without a token, at the place that the standard derives from the resource's address, and at the root for clients
that look nowhere else. Addresses are told exactly as configured, since clients compare them as text. The SDK's own is
not used: it normalises them.
"""

from urllib.parse import urlsplit, urlunsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from firstmate.httpsettings import ScopeSettings

_WELL_KNOWN = "/.well-known/oauth-protected-resource"
_ANYBODY = {"Access-Control-Allow-Origin": "*", "Cache-Control": "public, max-age=3600"}


def address_of(resource: str) -> str:
    """Where the metadata of a resource is (RFC 9728, 3.1): the path is kept behind the well-known one."""
    parts = urlsplit(resource)
    return urlunsplit((parts.scheme, parts.netloc, _WELL_KNOWN + parts.path.rstrip("/"), "", ""))


def routes(resource: str, issuer: str, scopes: ScopeSettings) -> list[Route]:
    """The routes that serve it.

    Args:
        resource: the address of this server.
        issuer: the authorization server.
        scopes: what they are called.
    """
    document = {
        "resource": resource,
        "authorization_servers": [issuer],
        "scopes_supported": list(scopes.families),
        "bearer_methods_supported": ["header"],
        "resource_name": "firstmate",
    }

    async def told(request: Request) -> Response:
        return JSONResponse(document, headers=_ANYBODY)

    paths = dict.fromkeys([urlsplit(address_of(resource)).path, _WELL_KNOWN])
    return [Route(path, endpoint=told, methods=["GET"]) for path in paths]
