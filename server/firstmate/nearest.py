"""The nearest right name for a wrong one: of tools, arguments, runbooks, clusters."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like this one, None where none does."""
    every = list(known)
    plain = {one.casefold().replace("-", "_"): one for one in every}
    wanted = name.casefold().replace("-", "_")
    close = difflib.get_close_matches(wanted, list(plain), n=1, cutoff=0.55)
    if not close:
        close = [one for one in plain if len(wanted) > 2 and (one.startswith(wanted) or wanted.startswith(one))][:1]
    return plain[close[0]] if close else None
