"""Takes secrets out of objects and logs that are about to be written to a file.

The recorder calls it on everything that it records. Values stay recognisable: a mark stands where a secret stood, and a
text that was marked once is not changed again, so that a diagnosis of the recording reads what a diagnosis of the
cluster would have printed. Names, labels, images and other words by which objects are matched are touched only where
they have the shape of a token or hold a login. Must never change the object that it is given (a snapshot's objects are
shared).
"""

import re
from functools import lru_cache
from itertools import pairwise
from typing import Any, cast

from firstmate_tools.errors import FailedReadError
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import CONFIG_MAP, CONTROLLER_REVISION, KNOWN, Kind
from firstmate_tools.text import clean, is_harmless, is_secret, mark, redact, redact_shapes

from .logtext import split_stamps

DEEPEST = 200
"""Levels of an object. The API server takes more; nothing that is not an attack has them."""

_FREE = frozenset(
    {
        "annotations",
        "args",
        "attributes",
        "command",
        "description",
        "message",
        "note",
        "options",
        "parameters",
        "path",
        "url",
        "value",
        "volumeAttributes",
    }
)
"""Fields of built-in kinds in which people and programs write what they like."""
_MATCHED = frozenset({"apiVersion", "kind", "name", "namespace", "image", "imageID", "containerID", "uid", "labels"})
"""Fields of custom resources that are left alone; all others are redacted, because nobody knows their schema."""
_NAMES_A_SECRET = re.compile(
    r"(?i)(?:.*[a-z])?(?<!client)(?<!client_)(?<!app)(?<!shared)(?<!consumer)(?:secrets?|credentials?)"
)
_OBJECT_NAME = re.compile(r"[a-z]+(?:[-.][a-z0-9]+)+")
_FLAG = re.compile(r"--?[A-Za-z][\w.-]*")
_PASSWORD_FLAGS = frozenset({"-p", "-pw", "-a"})
"""Flags that mean a password to some programs (mysql, plink, redis-cli) and a port, a path or a profile to others."""
_GENERATED = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[^\s/:.,@=-]{10,}")
"""A word that nobody would call a port, a path or a profile."""
_PASSFILE = re.compile(r"(?i)(?:.*[./_-])?\.?pgpass(?:\.conf)?")
_PASSFILE_LINE = re.compile(r"(?m)^([^#:\n]{1,255}:[^:\n]{1,9}:[^:\n]{1,255}:[^:\n]{1,255}:)([^\n]+)$")
_SHORTEST_SHAPE = 20
_BLOCK_START = re.compile(r"-----BEGIN [A-Z0-9 ]{0,60}PRIVATE KEY(?: BLOCK)?-----")
_BLOCK_END = re.compile(r"-----END [A-Z0-9 ]{0,60}PRIVATE KEY(?: BLOCK)?-----")
_BUILT_IN = {(kind.group, kind.plural) for kind in KNOWN if kind is not CONTROLLER_REVISION}
"""A ControllerRevision holds another object, of a kind that it does not name."""


def masked_text(value: str) -> str:
    """A text without secrets, as a result would show it; the text itself where there are none.

    Secrets are sought behind colours and invisible characters, too: a text with one loses those.
    """
    return _masked(value) if len(value) <= 512 else _mask(value)


def _mask(value: str) -> str:
    cleaned = clean(value)
    found = redact(cleaned)
    return value if found == cleaned else found


_masked = lru_cache(maxsize=50_000)(_mask)


def masked_named(name: str, value: str) -> str:
    """The value of an environment variable or ConfigMap key, marked where its name says that it is secret.

    Switches, small numbers, paths and references stay. Of a value of several lines only the secrets in it are marked:
    it is a file, and its name says what it configures.
    """
    if _PASSFILE.fullmatch(name):
        value = _PASSFILE_LINE.sub(rf"\1{mark('password')}", value)
    if not is_secret(name, whole=True) or not value.strip() or is_harmless(value):
        return masked_text(value)
    return masked_text(value) if "\n" in value.strip() else mark("value")


def masked(obj: Obj, kind: Kind) -> Obj:
    """A copy of an object without secrets.

    Raises:
        FailedReadError: it is nested deeper than anything that is not an attack.
    """
    if (kind.group, kind.plural) == (CONFIG_MAP.group, CONFIG_MAP.plural):
        return _config_map(obj)
    custom = (kind.group, kind.plural) not in _BUILT_IN
    return _mapping(obj, 0, free=custom, custom=custom)


def _config_map(obj: Obj) -> Obj:
    made = dict(obj)
    made["metadata"] = _metadata(obj.get("metadata"))
    if isinstance(obj.get("data"), dict):
        made["data"] = {
            key: masked_named(key, value) if isinstance(value, str) else value
            for key, value in cast("Obj", obj["data"]).items()
        }
    if isinstance(obj.get("binaryData"), dict):
        made["binaryData"] = dict.fromkeys(cast("Obj", obj["binaryData"]), mark("binary"))
    return made


def _metadata(metadata: Any) -> Any:
    """Of metadata the annotations alone are free text."""
    if not isinstance(metadata, dict):
        return metadata
    here = cast("Obj", metadata)
    made = dict(here)
    for key in ("annotations", "labels"):
        if key in here:
            made[key] = _value(key, here[key], 2, free=key == "annotations", custom=False)
    return made


def _value(key: str, value: Any, depth: int, *, free: bool, custom: bool) -> Any:
    """What stands under a key, without secrets; the same object where it holds no text to look at.

    Args:
        free: a text here is redacted.
        custom: inside a custom resource, where everything is free but what objects are matched by.
    """
    if isinstance(value, str):
        if (
            (custom or free)
            and is_secret(key, whole=True)
            and not (_NAMES_A_SECRET.fullmatch(key) and _OBJECT_NAME.fullmatch(value))
        ):
            return masked_named(key, value)
        return masked_text(value) if free else _without_shapes(value)
    if not isinstance(value, dict | list):
        return value
    if depth > DEEPEST:
        raise FailedReadError(f"An object is nested more than {DEEPEST} deep.")
    if isinstance(value, dict):
        return _mapping(cast("Obj", value), depth, free=free, custom=custom)
    entries = cast("list[Any]", value)
    made = [_value(key, entry, depth + 1, free=free, custom=custom) for entry in entries]
    return _arguments(made) if key in ("args", "command") else made


def _arguments(words: list[Any]) -> list[Any]:
    """A command line without the words that follow a flag with a secret's name."""
    made = list(words)
    for at, (flag, word) in enumerate(pairwise(words), start=1):
        if isinstance(flag, str) and isinstance(word, str) and _FLAG.fullmatch(flag) and not word.startswith("-"):
            loose = flag in _PASSWORD_FLAGS and _GENERATED.fullmatch(word) is not None
            made[at] = mark("value") if loose else masked_named(flag.lstrip("-"), word)
    return made


def _without_shapes(value: str) -> str:
    """A word by which objects are matched, which is a secret only by mistake: a token as a label, a login in an image.
    Equal words stay equal."""
    return redact_shapes(value) if len(value) >= _SHORTEST_SHAPE else value


def _mapping(here: Obj, depth: int, *, free: bool, custom: bool) -> Obj:
    made = dict(here)
    for key, value in here.items():
        is_text = isinstance(value, str)
        if is_text and not (free or key in _FREE):
            if len(value) >= _SHORTEST_SHAPE:
                made[key] = redact_shapes(value)
            continue  # most of what an object holds
        if key == "value" and is_text and isinstance(here.get("name"), str):
            made[key] = masked_named(here["name"], value)
        elif key == "metadata":
            made[key] = _metadata(value)
        elif custom and key in _MATCHED and (is_text or key == "labels"):
            made[key] = _value(key, value, depth + 1, free=False, custom=False)
        else:
            made[key] = _value(key, value, depth + 1, free=free or key in _FREE, custom=custom)
    return made


def masked_log(text: str, *, stamped: bool) -> tuple[str, bool]:
    """A log without secrets, and whether its lines still begin with their times.

    Args:
        stamped: they do so now. Times are kept out of the search, because they would stand between a name and its
            value; where a secret goes over several lines, nobody can tell which times to keep, and they are dropped.
    """
    split = split_stamps(text) if stamped else None
    if split is None:
        return masked_text(text), False
    stamps, lines = split
    ending = "\n" if text.endswith("\n") else ""
    if masked_text("\n".join(lines)) == "\n".join(lines):
        return text, True
    stamps, lines = _without_blocks(stamps, [clean(line) for line in lines])
    made = masked_text("\n".join(lines))
    if made.count("\n") != len(lines) - 1:
        return made + ending, False
    return "\n".join(f"{stamp} {line}" for stamp, line in zip(stamps, made.split("\n"), strict=True)) + ending, True


def _without_blocks(stamps: list[str], lines: list[str]) -> tuple[list[str], list[str]]:
    """Lines with each private key as one mark, at the time of its first line, as `redact` has it in a text."""
    kept_stamps: list[str] = []
    kept: list[str] = []
    inside = False
    for stamp, line in zip(stamps, lines, strict=True):
        rest = line
        if inside:
            end = _BLOCK_END.search(line)
            if end is None:
                continue
            inside = False
            kept[-1] += line[end.end() :]
            continue
        start = _BLOCK_START.search(rest)
        if start is not None and _BLOCK_END.search(rest, start.end()) is None:
            inside = True
            rest = rest[: start.start()] + mark("private-key")
        kept_stamps.append(stamp)
        kept.append(rest)
    return kept_stamps, kept
