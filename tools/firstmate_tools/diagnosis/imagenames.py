"""Why an image reference cannot be read. Pure.

Grammar: github.com/distribution/reference, which the kubelet parses names with (pkg/util/parsers, v1.36).
"""

import re

_DOMAIN = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)*|\[[0-9a-fA-F:]+\])(?::\d+)?")
_PATH = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")


def unreadable(reference: str) -> str:
    """What is wrong with a reference, in words."""
    shown = reference[:120]
    if not reference.strip():
        return "it is empty"
    if re.search(r"\s", reference):
        return f"{shown!r} has a space in it"
    if "://" in reference:
        return f"{shown} begins with a scheme, which no image name has"
    if re.search(r"[${}<>]", reference):
        return f"{shown} has a placeholder in it that nobody filled in"
    name, at, digest = reference.partition("@")
    if at and not (_DIGEST.fullmatch(digest) and (not digest.startswith("sha256:") or _SHA256.fullmatch(digest))):
        return f"{digest[:80]!r} in {shown} is no digest"
    first, slash, rest = name.partition("/")
    path = name
    if slash and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        if not _DOMAIN.fullmatch(first):
            return f"{first[:80]!r} in {shown} is no registry"
        path = rest
    path, colon, tag = path.partition(":")
    if colon and not _TAG.fullmatch(tag):
        return f"the tag {tag[:80]!r} in {shown} is no tag"
    wrong = next((part for part in path.split("/") if not _PATH.fullmatch(part)), None)
    if wrong is not None and wrong.lower() != wrong:
        return f"{wrong[:80]!r} in {shown} has capitals, which repositories may not have"
    if wrong is not None:
        return f"{wrong[:80]!r} in {shown} is no part of a repository's name"
    return f"the kubelet cannot parse {shown}"
