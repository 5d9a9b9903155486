"""How a command fails: one sentence on stderr, what to do next, and an exit code."""

import sys

from firstmate_tools.errors import ConfigurationError, FirstmateError, ObjectNotFoundError, UsageError
from firstmate_tools.text import clean, redact

USAGE = 2
NO_ANSWER = 3


def code_of(error: FirstmateError) -> int:
    """2 where the question or the configuration is at fault, 3 where the cluster gave no answer."""
    at_fault = (UsageError, ConfigurationError, ObjectNotFoundError)
    return USAGE if isinstance(error, at_fault) else NO_ANSWER


def tell(error: FirstmateError) -> None:
    """Says what happened and what to do next."""
    lines = [f"firstmate: {error.message}", f"  {error.hint}" if error.hint else ""]
    sys.stderr.write(redact(clean("\n".join(line for line in lines if line))) + "\n")
