"""Images that cannot be pulled: absent, refused, or refused because the pull secret is missing.

The waiting reason alternates between ErrImagePull and ImagePullBackOff; what decides is the text beside it, or that of
the newest Failed event of this very pod. Pulls that fail for other reasons (no route, throttled, wrong platform, disk
full) are left to other rules. Secrets are never read: that one is missing is the kubelet's word.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import lib, revisions, trouble
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, fact
from firstmate_tools.diagnosis.heard import heard, lately, said
from firstmate_tools.diagnosis.pulls import Image, Meaning, image_parts, meaning, telling_end, unretrieved
from firstmate_tools.diagnosis.rule import BACKENDS, Verdicts, rule
from firstmate_tools.diagnosis.trouble import Trouble
from firstmate_tools.refs import ref_of
from firstmate_tools.results import Confidence


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


@rule(
    causes=("image-not-found", "image-pull-unauthorized", "image-pull-secret-missing"),
    observes=(kinds.POD, kinds.REPLICA_SET, kinds.DEPLOYMENT, kinds.STATEFUL_SET, kinds.DAEMON_SET, kinds.EVENT),
    explains=BACKENDS,
)
def image_pull(facts: Facts) -> Verdicts:
    """Reasons and events of pkg/kubelet/images/image_manager.go, v1.36."""
    for pull in facts.derived(_pulls):
        if pull.missing and pull.meaning in {"refused", "refused-or-not-found", "unknown"}:
            yield _secret_missing(facts, pull)
        elif pull.meaning == "not-found":
            yield _not_found(facts, pull, "certain", "")
        elif pull.meaning == "refused":
            # Some registries refuse strangers alike what is private and what does not exist.
            yield _refused(facts, pull, "certain" if pull.secrets else "likely", "")
        elif pull.meaning == "refused-or-not-found":
            yield _either(facts, pull)


def _pulls(facts: Facts) -> list[Pull]:
    pulls: list[Pull] = []
    for group in trouble.groups(facts, "image"):
        by_image: dict[str, list[Trouble]] = defaultdict(list)
        for one in group:
            by_image[fields.text(one.container.spec, "image")].append(one)
        pulls += [_pull(facts, by_image[image], image) for image in sorted(by_image)]
    return pulls


def _pull(facts: Facts, group: list[Trouble], image: str) -> Pull:
    """The pull of the first pod whose text decides, of the first at all where none does."""
    found = [_one_pull(facts, group, image, one) for one in group]
    return next((pull for pull in found if pull.meaning != "unknown"), found[0])


def _one_pull(facts: Facts, group: list[Trouble], image: str, one: Trouble) -> Pull:
    decisive, words = _decisive(facts, one, image)
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


def _decisive(facts: Facts, one: Trouble, image: str) -> tuple[Meaning, tuple[Evidence, ...]]:
    """What the newest text that decides says: the state's own message, else the newest event about this image."""
    message = fields.text(one.container.waiting, "message")
    if meaning(message) != "unknown":
        section = "containerStatuses" if one.container.role == "app" else "initContainerStatuses"
        path = f"status.{section}[{one.container.name}].state.waiting.message"
        return meaning(message), (fact(one.ref, path, telling_end(message)),)
    for row in heard(facts, one.ref, one.pod, one.container.name, "Failed"):
        about = f'"{image}' in row.message or f"{{{one.container.name}}}" in row.field
        if about and meaning(row.message) != "unknown":
            return meaning(row.message), (fact(one.ref, "events[Failed].message", telling_end(row.message), row.last),)
    return "unknown", ()


def _secret_missing(facts: Facts, pull: Pull) -> Finding:
    names = lib.some(pull.missing)
    template = fields.mapping(lib.named_template(facts, pull.one.workload), "spec")
    own = {fields.text(s, "name") for s in fields.items(template, "imagePullSecrets")}
    account = fields.text(pull.one.pod, "spec", "serviceAccountName")
    given = f" Its service account {account} gives it that name." if template and not pull.missing & own else ""
    return _finding(
        facts,
        pull,
        cause="image-pull-secret-missing",
        confidence="likely" if pull.meaning != "unknown" else "possible",
        summary=(
            f"{pull.one.workload} cannot pull {pull.image}: the pull secret {names} that its pods name does not exist "
            f"in namespace {pull.one.ref.namespace}.{given}"
        ),
        evidence=(*pull.absence, *pull.words, fact(pull.one.ref, "spec.imagePullSecrets", ", ".join(pull.secrets))),
        culprit=f"Secret {pull.one.ref.namespace}/{names}",
    )


def _not_found(facts: Facts, pull: Pull, confidence: Confidence, why: str) -> Finding:
    return _finding(
        facts,
        pull,
        cause="image-not-found",
        confidence=confidence,
        summary=f"{pull.one.workload} cannot pull {pull.image}: {pull.parts.registry} has no such image.{why}",
        evidence=(*pull.words, *_image_evidence(facts, pull)),
        culprit=pull.image,
    )


def _refused(facts: Facts, pull: Pull, confidence: Confidence, why: str) -> Finding:
    with_secrets = f"with the pull secrets {', '.join(pull.secrets)}" if pull.secrets else "without a pull secret"
    # One credential serves a registry: whatever is pulled with it fails together.
    key = f"{pull.one.ref.namespace}/{','.join(sorted(pull.secrets))}" if pull.secrets else pull.parts.repository
    return _finding(
        facts,
        pull,
        cause="image-pull-unauthorized",
        confidence=confidence,
        summary=(
            f"{pull.one.workload} cannot pull {pull.image}: the registry {pull.parts.registry} refuses it "
            f"({with_secrets}).{why}"
        ),
        evidence=(*pull.words, fact(pull.one.ref, "spec.imagePullSecrets", ", ".join(pull.secrets) or None)),
        culprit=f"{pull.parts.registry} {key}",
    )


def _either(facts: Facts, pull: Pull) -> Finding:
    """Docker Hub and others give one answer for "private" and for "no such repository"; other facts may tell."""
    if pull.parts.official:
        return _not_found(facts, pull, "likely", " Official images are public, so the name itself must be wrong.")
    if _runs_elsewhere(facts, pull):
        return _refused(facts, pull, "likely", " The repository exists: other pods run an image of it.")
    was = _image_before(facts, pull)
    if was and (was.registry, was.repository) == (pull.parts.registry, pull.parts.repository):
        return _refused(facts, pull, "likely", " The revision before used the same repository.")
    if was and was.registry == pull.parts.registry:
        return _not_found(
            facts,
            pull,
            "possible",
            f" The revision before pulled {was.repository} from there: this repository may not exist.",
        )
    return _refused(facts, pull, "possible", " The same answer is given for a repository that does not exist.")


def _runs_elsewhere(facts: Facts, pull: Pull) -> bool:
    """Whether a pod somewhere runs an image of the same repository."""
    wanted = (pull.parts.registry, pull.parts.repository)
    for pod in facts.everywhere(kinds.POD):
        for container in podstate.containers(pod):
            if container.running:
                parts = image_parts(fields.text(container.spec, "image"))
                if (parts.registry, parts.repository) == wanted:
                    return True
    return False


def _image_before(facts: Facts, pull: Pull) -> Image | None:
    older = revisions.before(facts, pull.one.ref)
    template = fields.mapping(older[1], "spec", "template") if older else {}
    for container in podstate.containers(template):
        if container.name == pull.one.container.name:
            return image_parts(fields.text(container.spec, "image"))
    return None


def _image_evidence(facts: Facts, pull: Pull) -> Iterable[Evidence]:
    section = "containers" if pull.one.container.role == "app" else "initContainers"
    yield fact(pull.one.ref, f"spec.{section}[{pull.one.container.name}].image", pull.image)
    older = revisions.before(facts, pull.one.ref)
    was = _image_before(facts, pull)
    if older and was and was != pull.parts:
        path = f"spec.template.spec.{section}[{pull.one.container.name}].image"
        yield fact(ref_of(older[1], kinds.REPLICA_SET), path, f"{was.registry}/{was.repository}:{was.tag}")


def _finding(
    facts: Facts,
    pull: Pull,
    *,
    cause: str,
    confidence: Confidence,
    summary: str,
    evidence: tuple[Evidence, ...],
    culprit: str,
) -> Finding:
    place, workload = pull.one.ref.namespace, pull.one.workload
    return Finding(
        cause=cause,
        object=workload,
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
