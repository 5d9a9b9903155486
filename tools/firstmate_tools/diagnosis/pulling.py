"""The images that pods cannot pull, each with what the newest text that decides says of it. Pure.

Used by the rules about images and registries. The waiting reason alternates between ErrImagePull and ImagePullBackOff;
what decides is the text beside it, or that of the newest Failed event of this very pod.
"""

from collections import defaultdict
from dataclasses import dataclass

from firstmate_tools import fields, podstate
from firstmate_tools.diagnosis import ended, lib, trouble
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, fact
from firstmate_tools.diagnosis.heard import heard, lately, said
from firstmate_tools.diagnosis.pulls import Image, Meaning, image_parts, meaning, telling_end, unretrieved
from firstmate_tools.diagnosis.trouble import Trouble
from firstmate_tools.refs import Ref
from firstmate_tools.results import Confidence

_BY_REASON: dict[str, Meaning] = {"ErrImageNeverPull": "never", "InvalidImageName": "invalid"}


@dataclass(frozen=True, slots=True)
class Pull:
    """One image that a workload's pods cannot pull."""

    one: Trouble
    group: list[Trouble]
    image: str
    parts: Image
    meaning: Meaning
    words: tuple[Evidence, ...]
    missing: frozenset[str]
    absence: tuple[Evidence, ...]

    @property
    def secrets(self) -> list[str]:
        return [fields.text(s, "name") for s in fields.items(self.one.pod, "spec", "imagePullSecrets")]


def pulls(facts: Facts) -> list[Pull]:
    """What cannot be pulled, one for each workload, container and image."""
    found: list[Pull] = []
    for group in trouble.groups(facts, "image"):
        by_image: dict[str, list[Trouble]] = defaultdict(list)
        for one in group:
            by_image[fields.text(one.container.spec, "image")].append(one)
        found += [_pull(facts, by_image[image], image) for image in sorted(by_image)]
    return found


def _pull(facts: Facts, group: list[Trouble], image: str) -> Pull:
    """The pull of the first pod whose text decides, of the first at all where none does."""
    found = [_one_pull(facts, group, image, one) for one in group]
    return next((pull for pull in found if pull.meaning != "unknown"), found[0])


def _one_pull(facts: Facts, group: list[Trouble], image: str, one: Trouble) -> Pull:
    decisive, words = decided(facts, one, image)
    named = {fields.text(s, "name") for s in fields.items(one.pod, "spec", "imagePullSecrets")}
    lost = heard(facts, one.ref, one.pod, "", "FailedToRetrieveImagePullSecret")
    lost = [row for row in lost if lately(facts, row) and unretrieved(row.message) & named]
    return Pull(
        one=one,
        group=group,
        image=image,
        parts=image_parts(image),
        meaning=decisive,
        words=words,
        missing=frozenset(unretrieved(lost[0].message) & named) if lost else frozenset(),
        absence=(said(lost[0]),) if lost else (),
    )


def decided(facts: Facts, one: Trouble, image: str) -> tuple[Meaning, tuple[Evidence, ...]]:
    """What the newest text that decides says: the state's own message, else the newest event about this image."""
    message, reason = fields.text(one.container.waiting, "message"), one.container.waiting_reason
    path = f"{ended.status_path(one)}.state.waiting"
    if reason in _BY_REASON:
        return _BY_REASON[reason], (fact(one.ref, path, f"{reason}: {telling_end(message)}"),)
    if meaning(message) != "unknown":
        return meaning(message), (fact(one.ref, f"{path}.message", telling_end(message)),)
    for row in heard(facts, one.ref, one.pod, one.container.name, "Failed"):
        about = f'"{image}' in row.message or f"{{{one.container.name}}}" in row.field
        if about and meaning(row.message) != "unknown":
            return meaning(row.message), (fact(one.ref, "events[Failed].message", telling_end(row.message), row.last),)
    return ("unreachable", (fact(one.ref, path, reason),)) if reason == "RegistryUnavailable" else ("unknown", ())


def finding(
    facts: Facts,
    pull: Pull,
    *,
    cause: str,
    confidence: Confidence,
    summary: str,
    evidence: tuple[Evidence, ...],
    culprit: str,
    at: Ref | None = None,
) -> Finding:
    """A finding about a pull.

    Args:
        at: what has to be mended, where that is not the workload.
    """
    place, workload = pull.one.ref.namespace, pull.one.workload
    return Finding(
        cause=cause,
        object=at or workload,
        severity=lib.severity(facts, workload),
        confidence=confidence,
        summary=summary,
        evidence=evidence,
        affects=trouble.affected(pull.group),
        since=lib.earliest(podstate.not_ready_since(t.pod) for t in pull.group),
        culprit=culprit,
        next=(
            lib.ask("events", "what each attempt said", scope=f"pod/{pull.one.ref.name}", namespace=place),
            lib.ask(
                "get",
                "the workload as it is",
                kind=pull.one.workload.kind,
                name=pull.one.workload.name,
                namespace=place,
            ),
        ),
    )
