"""Whether a name says that its value is a secret: of an environment variable, a key, a flag, a header. Pure.

`redaction` asks it of names in running text, `cluster.masking` of keys in objects. A false alarm destroys a diagnosis,
so that names which tell *where* a secret is (`secretName`, `TOKEN_FILE`, `passwordSecretRef`) are none, and neither are
names of things that deal in secrets (`token-service`, `secrets-store.csi.k8s.io`).
"""

import re
from functools import lru_cache

WORDS = (
    r"passw(?:or)?d|passwd|passphrase|pwd|secret|token|credential|api[_-]?key|access[_-]?key|private[_-]?key"
    r"|account[_-]?key|signing[_-]?key|encryption[_-]?key|master[_-]?key|client[_-]?key[_-]?data"
    r"|connection[_-]?string|amz-signature|goog-signature"
    r"|(?<![a-z0-9_.-])pass(?![a-z0-9_.-])|(?<=[a-z0-9][_.-])(?:pass|pw|creds?)(?![a-z])|(?-i:(?<=[a-z])Pass(?![a-z]))"
    r"|requirepass|masterauth"
)
"""Words of which the name of a secret holds one."""

_WORD = re.compile(rf"(?i){WORDS}")
_NO_PASSWORD = re.compile(r"(?i)(?:.*[_.-])?(?:proxy|fastcgi|uwsgi|scgi|grpc|memcached|by|first|second|last)[_.-]?pass")
"""nginx's directives, and passes that are no words to pass."""
_EXACT = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie", "auth", "pass", "sig", "psk"})
"""Whole names, for keys of objects and headers: in running text they are words like others."""
_QUALIFIERS = re.compile(r"(?i)(?:[_.-]?(?:s|data|value|val|base|b64|base64|prod|dev|test|staging|old|new|json|\d+))*")
"""What may stand after the word in a name of words joined by hyphens or dots, without making it something else's name:
`client-key-data`, not `token-service` or `token.shop.svc`."""
_WHEREABOUTS = re.compile(
    r"(?i)(?:names?|refs?|reference|paths?|files?|dir|directory|urls?|uris?|endpoint|host|namespace|types?|kind"
    r"|class|classname|ttl|expir\w*|seconds|minutes|hours|duration|timeout|age|interval|length|size|counts?|version"
    r"|arn|provider|store|storage|policy|policies|mode|enabled|disabled|required|optional|format|algorithm|alg"
    r"|fields?|audiences?|issuer|header|prefix|suffix|manager|operator|controller|mount|volume|selector|reviews?"
    r"|rotation|bucket|limit|rate|budget|usage|status|state|error|errors|failures?)"
)
"""What a name ends with that tells where a secret is, or about it."""
_RUN_ON = frozenset({"key", "keys", "value", "values", "data", "string", "hash", "phrase", "base"})
"""What may follow in small letters: `secretkey`, not `tokenizer`."""


@lru_cache(maxsize=20_000)
def is_secret(name: str, *, whole: bool = False) -> bool:
    """Whether a value of this name is a secret.

    Args:
        name: without quotes.
        whole: it is known to be a name (a key, a header), so that short ones such as `auth` count.
    """
    bare = name.strip("-_.")
    if whole and bare.lower() in _EXACT:
        return True
    if _NO_PASSWORD.fullmatch(bare):
        return False
    last: re.Match[str] | None = None
    for found in _WORD.finditer(bare):
        last = found
    if last is None:
        return False
    return _means_the_value(last[0].lower(), bare[last.end() :])


def _means_the_value(word: str, rest: str) -> bool:
    """Whether a name that goes on after its word still names the secret itself: its last part decides."""
    if not rest or rest in {"s", "S"}:
        return True
    if "-" in rest or "." in rest:
        return _QUALIFIERS.fullmatch(rest) is not None
    if rest[0].islower() and not rest.startswith("s_"):
        return rest in _RUN_ON or (word == "secret" and rest == "id")
    last = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", rest)[-1:] or [rest]
    end = last[0].lower()
    if end == "id":
        return word == "secret"  # Vault's AppRole
    if end == "key":
        return word == "secret"  # a `passwordKey` names a key in a Secret
    return end != "ids" and _WHEREABOUTS.fullmatch(end) is None
