"""The catalogue of causes: slug, what it means in one line, what shows it, the runbook that fits.

A finding carries exactly one of these slugs. Not every one has a rule: those that nothing configured can show stand in
`coverage.not_checked` of a diagnosis, by their source (`sources.py`).
"""

from firstmate_tools.diagnosis.catalogue import admission, containers, network, nodes, platform, scheduling, storage
from firstmate_tools.diagnosis.cause import Cause, CauseSlug

__all__ = ["CAUSES", "Cause", "CauseSlug"]

SECTIONS: dict[str, tuple[Cause, ...]] = {
    "scheduling": scheduling.CAUSES,
    "admission": admission.CAUSES,
    "containers": containers.CAUSES,
    "storage": storage.CAUSES,
    "network": network.CAUSES,
    "nodes": nodes.CAUSES,
    "platform": platform.CAUSES,
}

CAUSES: dict[str, Cause] = {cause.slug: cause for section in SECTIONS.values() for cause in section}
