"""Reads the YAML that kubectl and support bundles write, as the JSON that it stands for.

`objects.py` imports it when a file is YAML, because PyYAML is slow to load. It builds plain values from the parser's
events by itself: one pass without recursion, with JSON's types alone (a `yes`, a date or a tag stays text), so that
aliases, deep nesting and YAML's own types can do no harm. Must never construct anything but JSON values.
"""

import re
from typing import Any, cast

import yaml

from firstmate_tools.errors import FailedReadError

DEEPEST = 200
"""Collections inside each other; the deepest CRD schemas that we have seen reach 60."""

_INTEGER = re.compile(r"-?(?:0|[1-9]\d{0,18})")
_FLOAT = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d{1,3})?")
_WORDS: dict[str, Any] = {"": None, "null": None, "~": None, "true": True, "false": False}


def read_yaml(content: bytes, file: str) -> Any:
    """The first document of a YAML file.

    Raises:
        FailedReadError: not YAML, not UTF-8, or with aliases, tags or nesting that no tool writes; names file and line.
    """
    try:
        return _build(content.decode("utf-8"), file)
    except UnicodeDecodeError as error:
        raise FailedReadError(f"{file}: not UTF-8 at byte {error.start}.") from error
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise FailedReadError(f"{file}{line}: not YAML: {error.problem}.") from error
    except yaml.YAMLError as error:
        raise FailedReadError(f"{file}: not YAML: {error}.") from error


class _Collection:
    """A mapping or sequence under construction; a mapping waits for a value once it has a key."""

    __slots__ = ("key", "value")

    def __init__(self, value: dict[str, Any] | list[Any]) -> None:
        self.value = value
        self.key: str | None = None

    def take(self, value: Any) -> bool:
        """Adds a value (in a mapping: a key, then its value). False where the value cannot be a key."""
        if isinstance(self.value, list):
            self.value.append(value)
        elif self.key is None:
            if isinstance(value, dict | list):
                return False
            self.key = value if isinstance(value, str) else _spelled(value)
        else:
            self.value[self.key] = value
            self.key = None
        return True


def _spelled(value: Any) -> str:
    return {None: "null", True: "true", False: "false"}.get(value, str(value))


def _build(text: str, file: str) -> Any:
    top = _Collection([])
    open_now = [top]
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for event in cast("Any", yaml.parse(text, Loader=loader)):  # pyright: ignore[reportUnknownMemberType]
        where = f"{file}, line {event.start_mark.line + 1}"
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise FailedReadError(f"{where}: YAML anchors and aliases are not read.")
        if isinstance(event, yaml.ScalarEvent):
            fits = open_now[-1].take(_scalar(event))
        elif isinstance(event, yaml.CollectionStartEvent):
            if len(open_now) > DEEPEST:
                raise FailedReadError(f"{where}: nested more than {DEEPEST} deep.")
            inner = _Collection({} if isinstance(event, yaml.MappingStartEvent) else [])
            fits = open_now[-1].take(inner.value)
            open_now.append(inner)
        elif isinstance(event, yaml.CollectionEndEvent):
            open_now.pop()
            continue
        elif isinstance(event, yaml.DocumentEndEvent):
            break
        else:
            continue
        if not fits:
            raise FailedReadError(f"{where}: a key that is no text.")
    done = cast("list[Any]", top.value)
    return done[0] if done else None


def _scalar(event: yaml.ScalarEvent) -> Any:
    value = cast("str", event.value)
    if event.style not in (None, ""):
        return value
    if value.lower() in _WORDS and (value == value.lower() or value.istitle() or value.isupper()):
        return _WORDS[value.lower()]
    if _INTEGER.fullmatch(value):
        return int(value)
    if _FLOAT.fullmatch(value):
        return float(value)
    return value
