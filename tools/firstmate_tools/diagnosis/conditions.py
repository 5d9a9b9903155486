"""Status conditions of custom resources, as evidence and as a verdict. Pure; for the rules about products.

Products write conditions of one shape (type, status, reason, message, lastTransitionTime) and mean different things
by them: the rules know what. A condition that speaks of an older generation of its object says nothing of the present
one.
"""

from datetime import datetime, timedelta

from firstmate_tools import fields
from firstmate_tools.diagnosis.findings import Evidence, fact
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref
from firstmate_tools.text import inline, plain_word


def quoted(ref: Ref, condition: Obj) -> Evidence:
    """A condition as evidence: status, reason and message."""
    words = (
        f"{fields.text(condition, 'status')} {fields.text(condition, 'reason')}: {fields.text(condition, 'message')}"
    )
    return fact(ref, f"status.conditions[{inline(fields.text(condition, 'type'))}]", words, moment(condition))


def moment(condition: Obj) -> datetime | None:
    """Since when a condition is as it is, as far as it says."""
    return fields.time_at(condition, "lastTransitionTime")


def failing(obj: Obj, kind: str) -> Obj | None:
    """A condition that is False now, None otherwise; one about an older generation is left out."""
    found = fields.condition(obj, kind)
    return found if found.get("status") == "False" and not outdated(obj, found) else None


def outdated(obj: Obj, condition: Obj) -> bool:
    """Whether a condition was written about an older generation of the object."""
    seen, now = fields.number(condition, "observedGeneration"), fields.number(obj, "metadata", "generation")
    return 0 < seen < now


def reason(condition: Obj) -> str:
    """Its reason where that is one plain word, as reasons are; "" otherwise. For summaries."""
    word = fields.text(condition, "reason")
    return word if plain_word(word) else ""


def lasted(condition: Obj, now: datetime, least: timedelta) -> bool:
    """Whether it has been so for some time; True where it does not say since when."""
    since = moment(condition)
    return since is None or now - since >= least
