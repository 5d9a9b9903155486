"""Protocol errors in words of ours: for methods whose failure is no result that a model reads."""

from mcp import MCPError
from mcp.types import INVALID_PARAMS

from firstmate.mcp import egress
from firstmate_tools.text import clipped

_LONGEST = 500


def refusal(words: str, uri: str | None = None) -> MCPError:
    """An error for parameters that are wrong or name nothing here (-32602).

    Args:
        words: what is wrong and what would be right; redacted here.
        uri: the address that was asked for.
    """
    data = {"uri": clipped(uri, _LONGEST)} if uri is not None else None
    return MCPError(INVALID_PARAMS, egress.words(words), data)
