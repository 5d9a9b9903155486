"""Images that cannot be pulled: absent, refused, or refused because the pull secret is missing.

Pulls that fail for other reasons (no route, throttled, wrong platform, disk full) are `registries`'. Secrets are never
read: that one is missing is the kubelet's word.
"""

from collections.abc import Iterable

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import lib, pulling, revisions
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, fact
from firstmate_tools.diagnosis.pulling import Pull
from firstmate_tools.diagnosis.pulls import Image, image_parts
from firstmate_tools.diagnosis.rule import BACKENDS, Verdicts, rule
from firstmate_tools.refs import ref_of
from firstmate_tools.results import Confidence


@rule(
    causes=("image-not-found", "image-pull-unauthorized", "image-pull-secret-missing"),
    observes=(kinds.POD, kinds.REPLICA_SET, kinds.DEPLOYMENT, kinds.STATEFUL_SET, kinds.DAEMON_SET, kinds.EVENT),
    explains=BACKENDS,
)
def image_pull(facts: Facts) -> Verdicts:
    """Reasons and events of pkg/kubelet/images/image_manager.go, v1.36."""
    for pull in facts.derived(pulling.pulls):
        if pull.missing and pull.meaning in {"refused", "refused-or-not-found", "unknown"}:
            yield _secret_missing(facts, pull)
        elif pull.meaning == "not-found":
            yield _not_found(facts, pull, "certain", "")
        elif pull.meaning == "refused":
            # Some registries refuse strangers alike what is private and what does not exist.
            yield _refused(facts, pull, "certain" if pull.secrets else "likely", "")
        elif pull.meaning == "refused-or-not-found":
            yield _either(facts, pull)


def _secret_missing(facts: Facts, pull: Pull) -> Finding:
    names = lib.some(pull.missing)
    template = fields.mapping(lib.named_template(facts, pull.one.workload), "spec")
    own = {fields.text(s, "name") for s in fields.items(template, "imagePullSecrets")}
    account = fields.text(pull.one.pod, "spec", "serviceAccountName")
    given = f" Its service account {account} gives it that name." if template and not pull.missing & own else ""
    return pulling.finding(
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
    return pulling.finding(
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
    return pulling.finding(
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
