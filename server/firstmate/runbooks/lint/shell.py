"""Reads shell scripts of runbooks as far as a linter needs: which programs are called with which words.

`commands.py` asks. It is no shell: it splits at pipes, lists and substitutions, and expands nothing. Quotes must close,
and a here-document ends where it says.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

_KEYWORDS = {"do", "then", "else", "if", "while", "until", "!", "time", "{", "sudo"}
_SEPARATORS = set("|&;()\n")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_HEREDOC = re.compile(r"<<-?\s*['\"]?(\w+)['\"]?")
_INNER = re.compile(r"\$\(([^()]*(?:\([^()]*\)[^()]*)*)\)")


class ShellError(ValueError):
    """A script cannot be read; the message says why, `line` where it begins."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Call:
    """One program with its words.

    Attributes:
        line: of the script, from 0, where the statement begins.
        words: the program first; assignments before it, redirections and shell keywords are left out.
    """

    line: int
    words: tuple[str, ...]


def calls(script: str) -> list[Call]:
    """Every program that a script calls, in order, those in `$(...)` included.

    Raises:
        ShellError: a quote does not close, or a here-document does not end.
    """
    return [call for line, statement in _statements(script) for call in _of_statement(line, statement)]


def assigned(script: str) -> set[str]:
    """The names of shell variables that a script gives a value."""
    found: set[str] = set()
    try:
        for _, statement in _statements(script):
            at_start = True
            for token in _lexer(statement):
                name = _ASSIGNMENT.match(token)
                if at_start and name:
                    found.add(name[0][:-1])
                at_start = set(token) <= _SEPARATORS or (
                    at_start and (name is not None or token in _KEYWORDS or token in ("export", "local"))
                )
    except ShellError:
        pass  # `calls` says so
    found |= set(re.findall(r"\bfor\s+([A-Za-z_][A-Za-z0-9_]*)\s+in\b", script))
    for names in re.findall(r"\bread\s+(?:-\w+\s+)*([A-Za-z_][A-Za-z0-9_ ]*)", script):
        found |= set(names.split())
    return found


def used(script: str) -> set[str]:
    """The names of shell variables that a script reads, outside of single quotes."""
    open_ = re.sub(r"'[^']*'", "''", script)
    return set(re.findall(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)", open_))


def _statements(script: str) -> Iterator[tuple[int, str]]:
    """Logical lines: continued ones joined, with open quotes closed, bodies of here-documents left out."""
    lines = script.splitlines()
    number = 0
    while number < len(lines):
        start, text = number, lines[number]
        while True:
            if text.endswith("\\") and number + 1 < len(lines):
                number += 1
                text = text[:-1] + " " + lines[number].lstrip()
            elif _open(text):
                number += 1
                if number >= len(lines):
                    raise ShellError("a quote does not close", start)
                text += "\n" + lines[number]
            else:
                break
        here = _HEREDOC.search(text)
        if here:
            number += 1
            while number < len(lines) and lines[number].strip() != here[1]:
                number += 1
            if number >= len(lines):
                raise ShellError(f"the here-document does not end with {here[1]}", start)
            text = text[: here.start()] + text[here.end() :]
        if text.strip() and not text.lstrip().startswith("#"):
            yield start, text
        number += 1


def _open(text: str) -> bool:
    try:
        list(_lexer(text))
    except ValueError:
        return True
    return False


def _lexer(text: str) -> shlex.shlex:
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|&;()<>\n")
    lexer.whitespace = " \t"
    lexer.whitespace_split = True
    lexer.commenters = ""
    return lexer


def _of_statement(line: int, text: str) -> Iterator[Call]:
    plain = re.sub(r"'[^']*'", "''", text)
    for inner in _INNER.findall(plain):
        if '"' in text:  # one in double quotes stays a word; shlex splits the bare ones at their brackets
            yield from _inside_quotes(line, text, inner)
    words: list[str] = []
    skip = False
    for token in _lexer(text):
        if token and set(token) <= _SEPARATORS:
            yield from _call(line, words)
            words, skip = [], False
        elif token and set(token) <= set("<>&"):
            skip = True
            if words and words[-1].isdigit():
                words.pop()  # 2>
        elif skip:
            skip = False
        elif token.startswith("#"):
            break
        else:
            words.append(token)
    yield from _call(line, words)


def _inside_quotes(line: int, text: str, inner: str) -> Iterator[Call]:
    quoted = re.findall(r'"(?:[^"\\]|\\.)*"', text)
    if any(f"$({inner})" in one for one in quoted):
        for call in calls(inner):
            yield Call(line, call.words)


def _call(line: int, words: list[str]) -> Iterator[Call]:
    rest = list(words)
    while rest and (rest[0] in _KEYWORDS or _ASSIGNMENT.match(rest[0]) or rest[0] == "$"):
        rest.pop(0)
    if rest:
        yield Call(line, tuple(rest))
