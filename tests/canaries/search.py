"""Finds canaries in whatever came out, in any of the forms in which a secret is still one.

Every window of twelve characters of the secret part is sought, as it is, URL-encoded, escaped in JSON, in hexadecimal
and in base64 (at each of the three offsets that it can stand at within a longer text), so that a cut or half-redacted
secret is found as well.
"""

import base64
import gzip
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from canaries.table import Canary

WINDOW = 12


def _forms(core: str) -> set[str]:
    raw = core.encode()
    forms = {core, quote(core, safe=""), json.dumps(core)[1:-1], raw.hex()}
    for offset in range(3):
        # The first and last characters depend on what stands beside the secret.
        encoded = base64.b64encode(b"\0" * offset + raw).decode()[(0, 2, 3)[offset] :].rstrip("=")
        encoded = encoded if len(raw) % 3 == 0 and not offset else encoded[:-2]
        forms |= {encoded, encoded.translate(str.maketrans("+/", "-_"))}
    return forms


class Search:
    """Looks for a set of canaries."""

    def __init__(self, canaries: Iterable[Canary]) -> None:
        self._windows: dict[str, str] = {}
        for one in canaries:
            for form in _forms(one.core):
                for start in range(max(1, len(form) - WINDOW + 1)):
                    self._windows[form[start : start + WINDOW]] = one.name
        self.searched = 0

    def text(self, text: str) -> dict[str, str]:
        """The canaries in a text: by name, the text around the first finding."""
        self.searched += len(text)
        windows, found = self._windows, dict[str, str]()
        for at in range(len(text) - WINDOW + 1):
            if (name := windows.get(text[at : at + WINDOW])) is not None and name not in found:
                found[name] = text[max(0, at - 60) : at + 60]
        return found

    def file(self, path: Path) -> dict[str, str]:
        """The canaries in a file; archives are unpacked, compressed files opened."""
        if path.is_dir():
            every = [self.file(one) for one in sorted(path.rglob("*")) if one.is_file()]
            return {name: where for one in every for name, where in one.items()}
        found = self.text(path.name)
        if path.name.endswith(".tar.gz"):
            with tarfile.open(path) as archive:
                for member in archive:
                    content = archive.extractfile(member)
                    found |= self.text(member.name) | (self._bytes(content.read()) if content else {})
            return found
        return found | self._bytes(path.read_bytes())

    def _bytes(self, content: bytes) -> dict[str, str]:
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        return self.text(content.decode("utf-8", "replace"))
