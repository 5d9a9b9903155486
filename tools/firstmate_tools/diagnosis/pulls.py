"""What a failed image pull means, read from the text that the kubelet passes on from the container runtime. Pure.

The text comes from containerd or CRI-O and from the registry; it is no stable API, so that the words are looked for
after everything that a person chose (image names, addresses) has been taken out, the more special meanings first.
Seen with containerd 1.6 to 2.1 (core/remotes/docker), CRI-O 1.30 (containers/image), Docker Hub, ECR, GHCR, Quay.
"""

import re
from dataclasses import dataclass
from typing import Literal

Meaning = Literal[
    "not-found",
    "refused",
    "refused-or-not-found",
    "unreachable",
    "untrusted",
    "throttled",
    "platform",
    "disk",
    "never",
    "invalid",
    "other",
    "unknown",
]
"""`never`: the kubelet may not pull; `invalid`: the name cannot be read; these two are states of the kubelet's own.
`untrusted`: it answers, but not with TLS that the node trusts. `other`: it names something else (a signature, a broken
layer). `unknown`: it tells nothing."""

_CHOSEN = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'[^']*'|\S*[/@]\S*")
_LOGIN = re.compile(r"(?i)'docker login'")

_NO_ANSWER: tuple[tuple[Meaning, re.Pattern[str]], ...] = (
    ("disk", re.compile(r"(?i)no space left|disk quota exceeded")),
    ("throttled", re.compile(r"(?i)toomanyrequests|\b429\b|rate limit|rate exceeded")),
    (
        "platform",
        re.compile(
            r"""(?i)no\ match\ for\ platform|no\ matching\ manifest|no\ image\ found\ in\ (?:image\ index|manifest)
            |image\ operating\ system""",
            re.VERBOSE,
        ),
    ),
    ("untrusted", re.compile(r"(?i)x509|\bcertificate|server gave HTTP response")),
    ("other", re.compile(r"(?i)pull QPS exceeded|context canceled")),
    (
        "unreachable",
        re.compile(
            r"""(?i)no\ such\ host|dial\ tcp|i/o\ timeout|connection\ (?:refused|reset|timed\ out)|deadline\ exceeded
            |TLS\ handshake|network\ is\ unreachable|no\ route\ to\ host|server\ misbehaving|name\ resolution
            |timed?\ ?out|registry\ is\ unavailable|\bEOF\b|\b50[234]\ (?:Bad|Service|Gateway)|proxyconnect""",
            re.VERBOSE,
        ),
    ),
    (
        "other",
        re.compile(
            r"""(?i)\b50[0-9]\ (?:Internal|Bad|Service|Gateway)|Internal\ Server\ Error|snapshot
            |extract|content\ store|httpReadSeeker|signature|unsupported\ media\ type""",
            re.VERBOSE,
        ),
    ),
)
"""What comes before any word of the registry about the image itself, the more special meanings first."""
_EITHER = re.compile(
    r"""(?i)(?:repository\ )?does\ not\ exist\ or\ may\ require|insufficient_scope|or\ it\ may\ not\ exist
    |may\ not\ exist\ or""",
    re.VERBOSE,
)
_REFUSED = re.compile(
    r"""(?i)\b401\b|\b403\b|unauthori[sz]ed|authori[sz]ation\ failed|failed\ to\ authori[sz]e|forbidden|denied
    |no\ basic\ auth\ credentials|authentication\ required|(?:incorrect|invalid)\ username\ or\ password
    |authorization\ token\ has\ expired|not\ authori[sz]ed|credentials""",
    re.VERBOSE,
)
_ABSENT = re.compile(
    r"""(?i)\bnot\ found\b|manifest[\ _]unknown|name[\ _]unknown|does\ not\ exist|\bNotFound\b|\b404\b
    |deleted\ or\ has\ expired|no\ such\ (?:image|manifest|repository)""",
    re.VERBOSE,
)


def meaning(text: str) -> Meaning:
    """What one text says about a pull.

    A word that only stands in a name or an address says nothing. `no basic auth credentials` (ECR without a login)
    decides over the "does not exist or may require authorization" that stands before it.
    """
    plain = _CHOSEN.sub(" ", _LOGIN.sub(" login ", text))
    for found, pattern in _NO_ANSWER:
        if pattern.search(plain):
            return found
    if re.search(r"(?i)no basic auth credentials|token has expired", plain):
        return "refused"
    if _EITHER.search(plain):
        return "refused-or-not-found"
    if _REFUSED.search(plain):
        return "refused"
    return "not-found" if _ABSENT.search(plain) else "unknown"


@dataclass(frozen=True, slots=True)
class Image:
    """An image reference in its parts, with Docker's defaults filled in.

    Rules: https://pkg.go.dev/github.com/distribution/reference (the first part is a registry when it has a dot or a
    colon, or is localhost; without one it is docker.io, and a single name there is an official image in library/).
    """

    registry: str
    repository: str
    tag: str

    @property
    def official(self) -> bool:
        """Whether it is one of Docker Hub's official images, which anybody may pull."""
        return self.registry == "docker.io" and self.repository.startswith("library/")


def image_parts(reference: str) -> Image:
    """The parts of a reference; a digest counts as the tag."""
    name, at, digest = reference.partition("@")
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, path = first, rest
    else:
        registry, path = "docker.io", name
    path, _, tag = path.partition(":")
    if registry in {"docker.io", "index.docker.io"}:
        registry = "docker.io"
        path = path if "/" in path else f"library/{path}"
    return Image(registry, path, digest if at else tag or "latest")


MOST_TEXT = 380


def telling_end(text: str) -> str:
    """A text with its beginning left out where it is long: what decides stands last."""
    return text if len(text) <= MOST_TEXT else "…" + text[-MOST_TEXT:]


_SECRETS = re.compile(r"image pull secrets \(([^)]*)\)")


def unretrieved(text: str) -> set[str]:
    """The pull secrets that a FailedToRetrieveImagePullSecret message names (getPullSecretsForPod,
    pkg/kubelet/kubelet_pods.go, v1.36)."""
    match = _SECRETS.search(text)
    return {name.strip() for name in match.group(1).split(",")} - {""} if match else set()
