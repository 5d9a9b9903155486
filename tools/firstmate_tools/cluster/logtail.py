"""Keeps the end of a container's log while it streams in.

`LiveCluster.logs` feeds it. The server's own `limitBytes` is not used: it cuts the end off, which is the part that
tells why a container died. Must never hold more than twice the limit.
"""

from firstmate_tools.errors import FailedReadError

_TRANSFER_FACTOR = 64
_LEAST_TRANSFER = 64_000_000


class LogTail:
    """A sink for the transport that holds the last bytes.

    Args:
        limit: how many bytes to keep.
    """

    def __init__(self, limit: int) -> None:
        self._limit = max(1, limit)
        self._kept = bytearray()
        self._left = max(_LEAST_TRANSFER, _TRANSFER_FACTOR * self._limit)
        self.cut = False

    def feed(self, chunk: bytes) -> None:
        """Takes the next bytes.

        Raises:
            FailedReadError: far more comes than anyone would read.
        """
        self._left -= len(chunk)
        if self._left < 0:
            raise FailedReadError(
                "The log is too large to read through to its end.", "Ask for fewer lines, or a shorter time."
            )
        self._kept += chunk
        if len(self._kept) > 2 * self._limit:
            self._drop()

    def _drop(self) -> None:
        del self._kept[: len(self._kept) - self._limit]
        self.cut = True

    def body(self) -> bytes:
        """The end of the log, from the start of a line where lines are shorter than the limit."""
        if len(self._kept) > self._limit:
            self._drop()
        if not self.cut:
            return bytes(self._kept)
        newline = self._kept.find(b"\n", 0, len(self._kept) - 1)
        if newline >= 0:
            return bytes(self._kept[newline + 1 :])
        start = next((i for i in range(min(4, len(self._kept))) if self._kept[i] & 0xC0 != 0x80), 0)
        return bytes(self._kept[start:])  # one line longer than the limit: from its first whole character
