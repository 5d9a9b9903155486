"""What is sent in place of an answer: a status, its headers, and a small JSON object that says why.

The gate raises these. Must never hold text from a cluster, nor from the request.
"""

import math

from starlette.responses import JSONResponse, Response


class RefusedRequestError(Exception):
    """A request that is not let in.

    Attributes:
        status: of HTTP.
        error: a word for programs.
        description: a sentence for people.
        headers: beside the usual ones.
    """

    def __init__(self, status: int, error: str, description: str, **headers: str) -> None:
        super().__init__(error)
        self.status, self.error, self.description = status, error, description
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def response(self) -> Response:
        body = {"error": self.error, "error_description": self.description}
        return JSONResponse(body, self.status, {"Cache-Control": "no-store", **self.headers})


def too_many(wait_s: float, *, everybody: bool = False) -> RefusedRequestError:
    """The caller asks too much (429), or all callers together do (503)."""
    seconds = max(1, math.ceil(wait_s))
    words = "The server is busy" if everybody else "You ask more than you may"
    return RefusedRequestError(
        503 if everybody else 429,
        "busy" if everybody else "too_many_requests",
        f"{words}: come again in {seconds} s.",
        Retry_After=str(seconds),
    )


def leaving() -> RefusedRequestError:
    """The server ends before the call did."""
    return RefusedRequestError(
        503, "shutting_down", "The server is shutting down; ask again.", Retry_After="1", Connection="close"
    )
