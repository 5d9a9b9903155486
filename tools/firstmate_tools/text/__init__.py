"""The one point where text that leaves is cleaned, redacted and told apart: whose words are these?

Log lines, event messages, condition messages, annotations, images and arguments are written by whoever runs in the
cluster. `cleaning` takes out what cannot be seen, `redaction` what must not leave, `types` says which field holds what,
`suspicion` whether a text turns to a model. The MCP side fences by type (`firstmate.mcp.egress`).
"""

from .cleaning import clean
from .marks import MARK, mark, marks
from .names import is_secret
from .redaction import is_harmless, redact, redact_blocks, redact_shapes
from .suspicion import suspicion
from .types import (
    FreeText,
    Own,
    OwnValues,
    Told,
    Untrusted,
    Words,
    clipped,
    inline,
    one_word,
    own,
    own_values,
    plain_word,
    quotations,
    quoting,
    shorten,
    squeeze,
    told,
    untrusted,
    without_quotes,
)

__all__ = [
    "MARK",
    "FreeText",
    "Own",
    "OwnValues",
    "Told",
    "Untrusted",
    "Words",
    "clean",
    "clipped",
    "inline",
    "is_harmless",
    "is_secret",
    "mark",
    "marks",
    "one_word",
    "own",
    "own_values",
    "plain_word",
    "quotations",
    "quoting",
    "redact",
    "redact_blocks",
    "redact_shapes",
    "shorten",
    "squeeze",
    "suspicion",
    "told",
    "untrusted",
    "without_quotes",
]
