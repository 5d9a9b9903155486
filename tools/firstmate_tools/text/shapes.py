"""Secrets that are known by their shape wherever they stand: keys, tokens, passwords in addresses. Pure.

`redaction.redact` and `redact_shapes` apply them. Each pattern is tried only where a text of its own stands (`hints`),
and none starts anew at every character: text comes from strangers, and a megabyte must take less than a second.

The prefixes are those that issuers document (AWS IAM unique identifiers, GitHub, GitLab, npm, PyPI, Slack, Stripe,
OpenAI, Google, HashiCorp Vault, Docker, DigitalOcean, SendGrid, Hugging Face, Grafana, Shopify, Databricks, Atlassian,
Linear, New Relic, Square, Entra ID, age). Image digests, UIDs, commit hashes and generated names
have no such prefix, which is why entropy is not asked.
"""

import re
from typing import NamedTuple

from .marks import mark


class Shape(NamedTuple):
    """One kind of secret: its mark, texts of which it holds one, and its pattern."""

    kind: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    put: str = ""
    """What takes its place, when not the mark alone."""


_KEY = r"(?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?"
_PRIVATE_KEY = re.compile(rf"-----BEGIN {_KEY}-----.*?(?:-----END {_KEY}-----|\Z)", re.DOTALL)
_END_OF_KEY = re.compile(rf"-----END {_KEY}-----")
_BODY_OF_KEY = re.compile(r"[A-Za-z0-9+/=]{16,100}")

SHAPES: tuple[Shape, ...] = (
    Shape("jwt", ("eyJ",), re.compile(r"\beyJ(?:(?!-eyJ)[A-Za-z0-9_-]){8,}+\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?")),
    Shape("eks-token", ("k8s-aws-v1.",), re.compile(r"\bk8s-aws-v1\.[A-Za-z0-9_-]{20,}")),
    Shape(
        "aws-secret",
        ("AKIA", "ASIA"),
        re.compile(r"(\b(?:AKIA|ASIA)[0-9A-Z]{16}[\"'\s,:;/|=]{1,8})[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])"),
        r"\1" + mark("aws-secret"),
    ),
    Shape("aws-key", ("AKIA", "ASIA", "ABIA", "ACCA"), re.compile(r"\b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b")),
    Shape(
        "aws-session",
        ("IQoJb3JpZ2lu", "FwoGZXIvYXdz", "FQoGZXIvYXdz"),
        re.compile(r"(?:IQoJb3JpZ2lu|FwoGZXIvYXdz|FQoGZXIvYXdz)[A-Za-z0-9+/=_%-]{20,}"),
    ),
    Shape(
        "token",
        ("gh", "glpat-", "npm_", "pypi-", "dckr_", "dop_v1_"),
        re.compile(
            r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}|gl(?:pat|dt|rt|cbt)-[\w-]{20,}|npm_[A-Za-z0-9]{36}"
            r"|pypi-AgE[\w-]{30,}|dckr_(?:pat|oat)_[\w-]{20,}|dop_v1_[0-9a-f]{64})"
        ),
    ),
    Shape(
        "token",
        ("xox", "xapp-", "sk-", "k_live_", "k_test_", "AIza", "SG.", "ya29.", "GOCSPX-"),
        re.compile(
            r"\b(?:xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}|sk-(?=[\w-]{0,30}[0-9])[\w-]{20,}"
            r"|[rs]k_(?:live|test)_[A-Za-z0-9]{10,}|AIza[\w-]{35}|SG\.[\w-]{16,32}\.[\w-]{16,64}|ya29\.[\w-]{20,}"
            r"|GOCSPX-[\w-]{20,})"
        ),
    ),
    Shape(
        "token",
        ("hf_", "glsa_", "glc_", "shp", "dapi", "ATATT3", "lin_api_", "NRAK-", "sq0", "8Q~"),
        re.compile(
            r"\b(?:hf_[A-Za-z0-9]{30,}|glsa_\w{32,}|glc_[\w+/=-]{32,}|shp(?:at|ca|pa|ss)_[0-9a-f]{32}|dapi[0-9a-f]{32}"
            r"|ATATT3[\w=-]{50,}|lin_api_[A-Za-z0-9]{32,}|NRAK-[A-Z0-9]{27}|sq0(?:csp|atp)-[\w-]{22,}"
            r"|[\w~.-]{3}8Q~[\w~.-]{31,34})"
        ),
    ),
    Shape("private-key", ("AGE-SECRET-KEY-1",), re.compile(r"\bAGE-SECRET-KEY-1[0-9A-Z]{50,}")),
    Shape("token", ("hvs.", "hvb.", "hvr."), re.compile(r"\bhv[sbr]\.[\w-]{20,}")),
    Shape(
        "webhook",
        ("hooks.slack.com/",),
        re.compile(r"(hooks\.slack\.com/(?:services|workflows|triggers)/)[\w/-]{12,}"),
        r"\1" + mark("webhook"),
    ),
    Shape(
        "webhook",
        ("/api/webhooks/", "api.telegram.org/bot"),
        re.compile(r"(/api/webhooks/\d{15,20}/|api\.telegram\.org/bot\d{5,12}:)[\w-]{30,}"),
        r"\1" + mark("webhook"),
    ),
    Shape(
        "password-hash",
        ("$",),
        re.compile(r"\$(?:2[abxy]\$\d\d|apr1|argon2id?\$v=\d+|[156y])\$[./A-Za-z0-9$,=+]{20,}+"),
    ),
)

_ANY_HINT = re.compile("|".join(re.escape(hint) for shape in SHAPES for hint in shape.hints))
"""Most texts are single words without any: one look instead of one for each shape."""
_SHORT = 300
"""Characters up to which one look is quicker."""

# A port, then a path with @ in it, is no password; neither is a tag before the digest of an image.
_URL_PASSWORD = re.compile(
    r"(://[^\s:/@\"'<>]{0,200}+:)(?!\d{1,5}(?:[/?#]|\Z))((?:(?!://)[^\s\"'`<>\\]){1,256})(?<!/)@(?!sha\d{3}:)"
)
_URL_TOKEN = re.compile(r"(://)([A-Za-z0-9_.~%-]{24,200})@(?!sha\d{3}:)")
# `robot:password@registry.example/app`: a login before a host with a path. `nginx:1.25@sha256:…` has no host there.
_LOGIN = re.compile(
    r"(?<![\w.%/\[@-])([A-Za-z][\w.%+$-]{0,100}:)(?=[^\s@:/]{0,256}?[0-9A-Z])((?!\[)[^\s:/@\"'<>()]{8,256})@(?!sha\d{3}:)"
    r"(?=(?:[a-z0-9-]{1,63}\.)+[a-z0-9-]{2,63}(?::\d{1,5})?/)"
)
_GO_DSN = re.compile(r"(?<![\w.%\[-])([\w.%-]{1,100}:)((?!\[)[^\s@:/\"']{1,256})(@(?:tcp|unix)\()")


def without_blocks(value: str) -> str:
    """Text without private keys, of which each goes over several lines; one whose end is missing goes to the end of
    the text, one whose beginning is missing from the first line that can be a part of it."""
    if "PRIVATE KEY" not in value:
        return value
    value = _PRIVATE_KEY.sub(mark("private-key"), value)
    if (end := _END_OF_KEY.search(value)) is None:
        return value
    kept: list[str] = []
    at = 0
    while end is not None:
        kept += [*_without_tail(value[at : end.start()]), mark("private-key")]
        at = end.end()
        end = _END_OF_KEY.search(value, at)
    return "".join([*kept, value[at:]])


def _without_tail(before: str) -> list[str]:
    lines = before.splitlines(keepends=True)
    while lines and _BODY_OF_KEY.fullmatch(lines[-1].strip()):
        lines.pop()
    return lines


def without_shapes(value: str) -> str:
    """Text without what is a secret wherever it stands."""
    value = without_blocks(value)
    shapes = SHAPES if len(value) > _SHORT or _ANY_HINT.search(value) else ()
    for shape in shapes:
        if any(hint in value for hint in shape.hints):
            value = shape.pattern.sub(shape.put or mark(shape.kind), value)
    return without_passwords(value)


def without_passwords(value: str) -> str:
    """Text without the passwords of addresses and data source names."""
    if "://" in value and "@" in value:
        value = _URL_PASSWORD.sub(rf"\1{mark('password')}@", value)
        value = _URL_TOKEN.sub(rf"\1{mark('token')}@", value)
    if "@" in value and "/" in value:
        value = _LOGIN.sub(rf"\1{mark('password')}@", value)
    if "(" in value and "@" in value:
        value = _GO_DSN.sub(rf"\1{mark('password')}\3", value)
    return value
