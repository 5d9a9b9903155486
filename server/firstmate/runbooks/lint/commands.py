"""Checks the commands of a runbook: they can be read, their subcommands exist, they name the cluster, and every
placeholder is a parameter or is given a value in sight.

`linting.py` calls `problems`. Runs nothing.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from firstmate.nearest import nearest
from firstmate.runbooks.lint.programs import (
    HELM,
    HELM_WITHOUT_CLUSTER,
    KUBECTL,
    WITHOUT_CLUSTER,
    subcommands,
)
from firstmate.runbooks.lint.shell import Call, ShellError, assigned, calls, used
from firstmate_tools.aws.commands import wrong_with

Own = Callable[[Sequence[str]], str | None]
"""Says what is wrong with the words after `firstmate`, None where nothing is."""

SCRIPTS = frozenset({"bash", "sh", "shell", "console"})
_INLINE = re.compile(r"^(kubectl|helm|aws|firstmate)\s")
_PLACEHOLDER = re.compile(r"^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*$")
_SHELL_OWN = frozenset({"HOME", "USER", "PATH", "PWD", "EDITOR", "SECONDS", "RANDOM"})
_WORDS = frozenset(
    {
        "TCP",
        "UDP",
        "SCTP",
        "GET",
        "POST",
        "PUT",
        "HEAD",
        "JSON",
        "YAML",
        "EOF",
        "UTC",
        "OOM",
        "INFO",
        "WARN",
        "ERROR",
        "DEBUG",
        "PRESERVE",
        "OVERWRITE",
        "STANDARD",
        "TEXT",
    }
)
"""Words in capitals that are values of flags, not placeholders."""


@dataclass(frozen=True, slots=True)
class Script:
    """Commands of a runbook.

    Attributes:
        line: of the file, from 1, where they begin.
        text: the commands.
    """

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a command: the file's line, what it is, and how to mend it."""

    line: int
    what: str
    mend: str


def is_inline_command(text: str) -> bool:
    """Whether `code` in a sentence is a command to run rather than the name of one (`kubectl drain`)."""
    return _INLINE.match(text) is not None and "…" not in text and ("$" in text or len(text.split()) > 4)


def faults(scripts: Sequence[Script], parameters: Sequence[str], own: Own) -> Iterator[Fault]:
    """What is wrong with the commands of one runbook.

    Args:
        scripts: all of them: a value that one assigns is known to the others.
        parameters: names of the runbook's parameters.
        own: judges commands of firstmate itself.
    """
    known = {"CONTEXT", *_SHELL_OWN, *(name.upper() for name in parameters)}
    for script in scripts:
        known |= assigned(script.text)
    for script in scripts:
        try:
            found = calls(script.text)
        except ShellError as error:
            yield Fault(script.line + error.line, str(error), "make it a script that a shell can read")
            continue
        for name in sorted(used(script.text) - known):
            yield Fault(
                script.line + _line_of(script.text, name),
                f"the placeholder ${name} is no parameter and is given no value",
                _advice(name, parameters),
            )
        for call in found:
            yield from _of_call(script.line + call.line, call, known, own)


def _line_of(text: str, name: str) -> int:
    pattern = re.compile(rf"\$\{{?{name}\b")
    return next((number for number, line in enumerate(text.splitlines()) if pattern.search(line)), 0)


def _advice(name: str, parameters: Sequence[str]) -> str:
    near = nearest(name.lower(), parameters)
    hint = f"${near.upper()}, " if near else ""
    return f"use {hint}a parameter of this name, or show an assignment `{name}=...` with an example"


def _of_call(line: int, call: Call, known: set[str], own: Own) -> Iterator[Fault]:
    program, rest = call.words[0], call.words[1:]
    judge = {"kubectl": _kubectl, "helm": _helm, "aws": _aws}.get(program)
    wrong = own(rest) if program == "firstmate" else judge(rest) if judge else None
    if wrong:
        yield Fault(line, f"`{program}`: {wrong}", "mend the command")
    if judge is None and program != "firstmate":
        return
    for word in rest:
        if "{" in word or "custom-columns" in word:
            continue  # a template, or headings of a table
        named = re.match(r"[A-Z_][A-Z0-9_]*=", word)  # a variable that the command sets
        for part in re.split(r"[=/:,]", word[named.end() :] if named else word):
            if len(part) > 2 and _PLACEHOLDER.match(part) and part not in known | _WORDS:
                yield Fault(
                    line,
                    f"the placeholder {part} is no parameter and is given no value",
                    f'write "${part}", and make it a parameter or show an assignment `{part}=...` with an example',
                )


def _kubectl(words: Sequence[str]) -> str | None:
    found = subcommands(words)
    wrong = _subcommand(found, KUBECTL)
    if wrong:
        return wrong
    if found[0] not in WITHOUT_CLUSTER and not _has(words, "--context"):
        return 'it does not say which cluster: --context "$CONTEXT" is missing'
    return None


def _helm(words: Sequence[str]) -> str | None:
    found = subcommands(words)
    wrong = _subcommand(found, HELM)
    if wrong:
        return wrong
    if found[0] not in HELM_WITHOUT_CLUSTER and not _has(words, "--kube-context"):
        return 'it does not say which cluster: --kube-context "$CONTEXT" is missing'
    return None


def _aws(words: Sequence[str]) -> str | None:
    found = subcommands(words)
    if len(found) < 2:
        return "a service and an operation are missing"
    return wrong_with(found[0], found[1])


def _subcommand(found: Sequence[str], table: Mapping[str, frozenset[str] | None]) -> str | None:
    if not found:
        return "the subcommand is missing"
    if found[0] not in table:
        near = nearest(found[0], table)
        return f"there is no subcommand {found[0]!r}" + (f"; `{near}`?" if near else "")
    below = table[found[0]]
    if below is not None and (len(found) < 2 or found[1] not in below):
        return f"{found[0]} is followed by one of {', '.join(sorted(below))}"
    return None


def _has(words: Sequence[str], flag: str) -> bool:
    return any(word == flag or word.startswith(f"{flag}=") for word in words)
