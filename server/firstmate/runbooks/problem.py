"""A fault of a runbook: where, what, and what would be right."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault.

    Attributes:
        line: in the runbook's file, from 1.
        what: is wrong, without a full stop.
        mend: what to write instead, "" where nothing is known to help.
    """

    line: int
    what: str
    mend: str = ""
