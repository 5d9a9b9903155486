"""Replaces the secrets in a text by marks that say what stood there; names, quotes and shapes stay.

Called on everything that leaves (`untrusted`, `firstmate.answers`, errors, logs) and on everything that is written
(`cluster.masking`). Idempotent and linear in the length of the text. Must never change a text without secrets.

No detector from PyPI does this: measured on 2,100 lines of logs and objects, detect-secrets 1.5.0 (last release in May
2024) reads 276 KB a second, tells lines rather than places, and finds 7 of 14 shapes that Kubernetes brings (no
dockerconfigjson, JDBC or ADO password, flag, header, kubeconfig key, nothing encoded); credsweeper 1.19 needs pandas
and onnxruntime. Their knowledge of prefixes stands in `shapes`; docs/trust.md has the limits.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from .commands import without_commands
from .encoded import without_encoded
from .marks import mark, without_marks
from .names import WORDS, is_secret
from .shapes import without_blocks, without_shapes

__all__ = ["redact", "redact_blocks", "redact_shapes"]

_NAMED = (
    *("pass", "pwd", "secret", "token", "cred", "key", "_pw", "-pw", ".pw"),
    *("connection", "signature", "auth", "cookie", "sig="),
)
"""One of these stands, in small letters, in every text that names a secret."""
# A name is tried once, from its first character; a slash before it makes it the end of a path or of an image.
_FIRST = r"(?<![A-Za-z0-9_./-])"
_FIRST_OF_PAIR = r"(?<![A-Za-z0-9_.-])"
_NAME = rf"(?=[A-Za-z0-9_.-]{{0,200}}?(?:{WORDS}))[A-Za-z0-9_.-]{{1,200}}+"
_QUOTE = r"\\{0,7}[\"']"
# A comma or a brace ends a bare value only where something new begins after it.
_BARE = (
    r"(?:[^\s,;&\"'}\\<|]|,(?![\w.-]{0,64}[=:]|[\s\"'{\[]|\Z)|\}(?![\s,;}\])\"']|\Z)|\\(?![\"'nrt\\]))"
    r"(?:[^\s,;&\"'}\\]|,(?![\w.-]{0,64}[=:]|[\s\"'{\[]|\Z)|\}(?![\s,;}\])\"']|\Z)|\\(?![\"'nrt\\]))*+"
)
_HEAD = re.compile(
    rf"(?i)(?P<open>{_QUOTE})?(?P<name>(?:{_FIRST}|(?<=/)(?=[\w.-]{{1,200}}=)){_NAME})(?P<close>{_QUOTE})?"
    rf"(?P<joint>\s{{0,20}}+(?:=>|:=|[=:])\s{{0,20}}+)(?=\S)"
)
_OPENING = re.compile(_QUOTE)
_UNQUOTED = re.compile(rf"\{{[^{{}}\"':\n]{{1,200}}+\}}(?=[;\s]|\Z)|{_BARE}")
_REST_OF_LINE = re.compile(r"[^\n]*+")
_LONGEST_QUOTED = 2000
_NEXT = re.compile(rf"\s{{0,20}}+,?\s{{0,20}}+(?={_QUOTE})")
_FLAG = re.compile(rf"(?i)({_FIRST_OF_PAIR}--?(?P<name>{_NAME}))(\s{{1,20}}+)([^\s-]\S*+)")
_ARGV = re.compile(
    rf"(?i)({_FIRST_OF_PAIR}--?(?P<name>{_NAME})(?P<q>{_QUOTE}),\s{{0,20}}+(?P=q))((?!-|\[redacted:)[^\s\"'\\]++)(?=(?P=q))"
)
"""A flag and its value as words of a list, as programs print their command lines."""
_PAIR = re.compile(
    rf"(?i)\b(?:name|key){_QUOTE}?\s{{0,20}}+[:=]\s{{0,20}}+{_QUOTE}?(?P<name>{_NAME}){_QUOTE}?\s{{0,20}}+,?\s{{0,20}}+"
    rf"{_QUOTE}?value{_QUOTE}?\s{{0,20}}+[:=]\s{{0,20}}+(?=\S)"
)
_ELEMENT = re.compile(rf"(?i)(<(?P<name>{_NAME})>)([^<\n]{{1,500}}+)(?=</)")
_SCHEME = re.compile(r"(?i)\b(bearer|basic)(\s{1,20}+|%20)([A-Za-z0-9+/=._~-]{8,}+)")
_SCHEMES = frozenset({"bearer", "basic", "token", "digest", "negotiate", "apikey", "key"})
_HEADER = re.compile(
    rf"(?i)((?<![\w-])(?:proxy-)?authorization{_QUOTE}?\s{{0,20}}+[:=]\s{{0,20}}+(?:{_QUOTE}|\[(?!redacted:))*+)"
    r"((?!\[redacted:)[A-Za-z0-9][\w-]{0,30}+[ \t]{1,20}+)?+((?!\[redacted:)[^\s\"',;\[\]]{6,}+)"
)
_COOKIE = re.compile(rf"(?i)(?<![\w-])((?:set-)?cookie{_QUOTE}?:\s{{0,20}}+{_QUOTE}?)([\w.-]{{1,100}}=)([^\n\"']+)")
_AUTH = re.compile(rf"({_QUOTE}auth{_QUOTE}\s{{0,20}}+:\s{{0,20}}+(?P<q>{_QUOTE}))([A-Za-z0-9+/=_-]{{8,}}+)((?P=q)|\Z)")
_SIGNED = re.compile(r"(?i)([?&](?:sig|x-amz-signature|x-goog-signature|x-amz-credential)=)([^\s&\"'<>\[]{6,}+)")
_MOST_PASSES = 4

_PROSE = (
    "not|no|is|was|are|the|for|in|from|with|to|of|and|or|found|expired|invalid|missing|required|rejected|denied|errors?"
    "|failed|failure|unauthorized|unauthenticated|forbidden|unexpected|unable|cannot|timeout|refused|empty|unset"
    "|unknown|undefined|ok|okay|valid|verified|revoked|malformed|unavailable|eof|enabled|disabled|set|configured"
    "|created|updated|deleted|loaded|mounted|rotated|refreshed|renewed|present|absent|get|post|put|head|dial|rpc"
)
_NO_SECRET = re.compile(
    r"(?i)(?:|true|false|null|none|nil|\*+|x{3,}|redacted|\d{1,3}|\d+(?:\.\d+)?(?:ms|[smhd]|[kmgt]i?b?)"
    r"|<[^>]*>?|\((?:hidden|masked|redacted|none|empty|unset|not set)?\)?"
    r"|\$\(\w*\)?|\$\{[^}]*\}?|\{\{.{0,200}|\$[A-Z_][A-Z0-9_]*|\$[a-z_]+|[.…]+"
    r")[.,;:!)\]]*"
)
_FIRST_OF_SENTENCE = re.compile(rf"(?i)(?:{_PROSE})[.,;:!)\]]*")
_NUMBER = re.compile(r"\d{1,12}")
_ADDRESS_WITH_MARK = re.compile(r"://[^\s\[]{0,500}\[redacted:")
_PATH = re.compile(r"(?:file:/)?/(?:[\w.@%-]{0,60}/?)*+")
_MIXED = re.compile(r"(?=[^/]*[0-9])(?=[^/]*[a-z])(?=[^/]*[A-Z])[A-Za-z0-9]{16,}")
_TAG = re.compile(r"v?\d+(?:\.\d+){1,3}[\w.-]*")
_REFERENCE = re.compile(r"[a-z0-9][a-z0-9.-]*/[a-z0-9][a-z0-9.-]*")
_DIGIT, _LETTER = re.compile(r"[0-9]"), re.compile(r"[A-Za-z]")
_LETTERS = re.compile(r"[A-Za-z]+")
_MORE_WORDS = re.compile(r"[ \t]+[\"'(\w]")
_OF_AN_OBJECT = re.compile(
    r"[\"'\\]*[ \t]+(?:not found|does not exist|is missing|already exists|is forbidden|is invalid|cannot be)"
)


def redact_shapes(value: str) -> str:
    """As `redact`, but only what is a secret wherever it stands: for our own words, in which `token: gone` is prose."""
    return without_shapes(value)


def redact_blocks(value: str) -> str:
    """As `redact`, but only what goes over several lines: to be called before a text is taken apart into lines."""
    return without_blocks(value)


def redact(value: str) -> str:
    """Text with secrets replaced by marks that name what stood there; keys and shapes stay. Idempotent.

    Known shapes (keys, tokens, passwords in addresses), values whose name says that they are secret (`password=…`,
    `"api_key": "…"`, `--token …`), authorization headers, and each of these in base64, in a URL's or in JSON's escapes.
    """
    if len(value) < 6:
        return value
    for _ in range(_MOST_PASSES):
        plain = _plainly(value)
        value = without_encoded(plain, _plainly)
        if value == plain:
            break  # what was decoded may stand beside a name now, or end one
    return value


def _plainly(value: str) -> str:
    """Text without the secrets that stand in it as they are."""
    value = without_shapes(value)
    if "earer" in value or "asic" in value or "EARER" in value or "ASIC" in value:
        value = _SCHEME.sub(_scheme, value)
    value = without_commands(value)
    small = without_marks(value).lower()  # their words name secrets, too
    return _without_named(value, small) if any(word in small for word in _NAMED) else value


def _without_named(value: str, small: str) -> str:
    value = _HEADER.sub(_header, value)
    value = _COOKIE.sub(rf"\1\2{mark('cookie')}", value)
    value = _AUTH.sub(rf"\1{mark('registry-auth')}\4", value)
    value = _SIGNED.sub(rf"\1{mark('signature')}", value)
    if "value" in small:
        value = _each_value(value, _PAIR, _value_of_pair)
    value = _each_value(value, _HEAD, _value_of_name)
    value = _ELEMENT.sub(_element, value)
    return _ARGV.sub(_word, _FLAG.sub(_flag, value))


def _word(match: re.Match[str]) -> str:
    if not is_secret(match["name"]) or is_harmless(match[4]):
        return match[0]
    return match[1] + mark("value")


def _scheme(match: re.Match[str]) -> str:
    name, gap, value = match.groups()
    # "Basic authentication", "bearer tokens": words, not credentials.
    if _LETTERS.fullmatch(value.rstrip(".,:-")) and (value.islower() or value.istitle()):
        return match[0]
    return f"{name}{gap}{mark('credential')}"


def _header(match: re.Match[str]) -> str:
    head, scheme, value = match[1], match[2] or "", match[3]
    known = scheme.strip().lower() in _SCHEMES
    prose = (
        _NO_SECRET.fullmatch(value) or _FIRST_OF_SENTENCE.fullmatch(value) or (not known and _LETTERS.fullmatch(value))
    )
    return match[0] if prose else head + scheme + mark("credential")


def _element(match: re.Match[str]) -> str:
    return f"{match[1]}{_instead(match[3])}" if is_secret(match["name"]) else match[0]


def _flag(match: re.Match[str]) -> str:
    value = match[4]
    if not is_secret(match["name"]) or (_FIRST_OF_SENTENCE.fullmatch(value)):
        return match[0]
    return f"{match[1]}{match[3]}{_instead(value)}"


class Value(NamedTuple):
    """Where a value stands, and in which quotes.

    Attributes:
        quote: its opening quote, with the backslashes before it; "" for a bare value.
        closed: whether the closing quote is there.
    """

    start: int
    end: int
    quote: str
    closed: bool


def value_at(text: str, at: int) -> Value | None:
    """The value that begins at a place, None where none does.

    A quote that stands in JSON, or in JSON within JSON, has 0, 1, 3 or 7 backslashes before it; those that belong to
    the value have more.
    """
    if (opening := _OPENING.match(text, at)) is None:
        bare = _UNQUOTED.match(text, at)
        return Value(at, bare.end(), "", True) if bare else None
    quote, level = opening[0], len(opening[0])
    place = opening.end()
    while 0 <= (place := text.find(quote[-1], place)) <= at + _LONGEST_QUOTED:
        slashes = place - len(text[opening.end() : place].rstrip("\\")) - opening.end()
        if slashes % (2 * level) == level - 1:
            return Value(at, place + 1, quote, True)
        place += 1
    rest = _REST_OF_LINE.match(text, at)
    return Value(at, rest.end() if rest else len(text), quote, False)


_RESCANNED = 256
"""Characters of a value that is no secret in which names are looked for again. Longer ones hold none but an attacker's,
and looking again into each would take quadratic time."""
Values = Callable[[re.Match[str]], Iterable[tuple[Value, str]]]


def _each_value(text: str, heads: re.Pattern[str], values: Values) -> str:
    """Text with the values behind each head replaced by what `values` gives for them."""
    kept: list[str] = []
    done = at = 0
    while (head := heads.search(text, at)) is not None:
        at = head.end()
        for value, instead in values(head):
            if instead != text[value.start : value.end]:
                kept += [text[done : value.start], instead]
                done = at = value.end
            elif value.end - value.start > _RESCANNED:
                at = value.end
    return "".join([*kept, text[done:]]) if kept else text


def _value_of_name(head: re.Match[str]) -> Iterator[tuple[Value, str]]:
    if not is_secret(head["name"]):
        return
    if head.string.startswith("[", head.end()) and not head.string.startswith("[redacted:", head.end()):
        yield from _entries(head)
    elif (value := value_at(head.string, head.end())) is not None:
        said = head.string[value.start : value.end]
        yield value, said if _names_only(head, value) else _instead(said, value)


def _value_of_pair(head: re.Match[str]) -> Iterator[tuple[Value, str]]:
    if is_secret(head["name"]) and (value := value_at(head.string, head.end())) is not None:
        yield value, _instead(head.string[value.start : value.end], value)


def _entries(head: re.Match[str]) -> Iterator[tuple[Value, str]]:
    """The quoted entries of a list."""
    at = head.end() + 1
    while (found := _NEXT.match(head.string, at)) is not None:
        if (value := value_at(head.string, found.end())) is None or not value.closed:
            return
        yield value, _instead(head.string[value.start : value.end], value)
        at = value.end


def _names_only(head: re.Match[str], value: Value) -> bool:
    """Whether what looks like an assignment only speaks of a secret."""
    name, said = head["name"].lower(), head.string[value.start : value.end]
    rest = head.string[value.end : value.end + 80]
    bare = said.strip("\\\"'")
    if not value.quote and _is_prose(head, said, rest):
        return True
    if name == "pass" and ("=" not in head["joint"] or not (_DIGIT.search(bare) and _LETTER.search(bare))):
        return True  # `pass=12 fail=0`, `pass: yes`
    if _OF_AN_OBJECT.match(rest) or (name.endswith("tokens") and _NUMBER.fullmatch(bare)):
        return True
    if head["joint"] == ":" and _TAG.fullmatch(said):
        return True  # the tag of an image of such a name
    return name in {"secret", "secrets"} and _REFERENCE.fullmatch(bare) is not None  # as Kubernetes logs one


def _is_prose(head: re.Match[str], value: str, rest: str) -> bool:
    """Whether a bare value is the first word of a sentence about the secret: `fetch token: Get "https://…"`."""
    if "=" in head["joint"]:
        return False
    if value.startswith("`"):
        return True
    word = value.rstrip(".,:;!)-")
    if head["close"]:  # `secret "db-password": Back-off …`; JSON would quote its value
        return not any(c.isdigit() for c in word)
    return _LETTERS.fullmatch(word) is not None and (value != word or _MORE_WORDS.match(rest) is not None)


def _instead(said: str, value: Value | None = None) -> str:
    """What stands in place of a value, in its quotes."""
    quote, closed = (value.quote, value.closed) if value else ("", True)
    end = quote if closed else ""
    inner = said[len(quote) : len(said) - len(end)]
    if is_harmless(inner) or (not quote and _FIRST_OF_SENTENCE.fullmatch(inner)):
        return said
    return f"{quote}{mark('value')}{end}"


def is_harmless(value: str) -> bool:
    """Whether a value tells no secret, whatever its name: a switch, a small number, a path, a reference, a mark."""
    if value.startswith("[redacted:") or _ADDRESS_WITH_MARK.search(value) or _NO_SECRET.fullmatch(value):
        return True
    if value[:1] in {"{", "["}:
        return not (value[:1] == "{" and value.endswith("}") and not set(value) & set(":\"'"))
    return _PATH.fullmatch(value) is not None and _MIXED.search(value) is None
