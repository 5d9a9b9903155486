"""What the process says on stderr: text, or a line of JSON for each record, without secrets.

`firstmate serve` calls `set_up` before anything else is built. All loggers of the process end in the one handler that
this makes, so that what uvicorn, the MCP SDK, a cloud SDK or a traceback would print passes the same redaction as an
answer. stdout is never written to: with stdio it belongs to the protocol. Must never raise: a log that fails must not
take a call with it.
"""

import logging
import sys
import threading
from datetime import UTC, datetime
from typing import Literal

from firstmate_tools.text import clean, redact

LogFormat = Literal["text", "json"]

_TEXT = "%(levelname)s %(name)s: %(message)s"
_MOST = 100_000
"""Characters of one record; tracebacks are shorter, and a log is no place for a dump."""


class RedactedText(logging.Formatter):
    """A record with its traceback as text, cleaned and redacted."""

    def __init__(self) -> None:
        super().__init__(_TEXT)

    def format(self, record: logging.LogRecord) -> str:
        return safe(super().format(record))


class RedactedJson(logging.Formatter):
    """A record as one line of JSON: time, level, logger, message, and the traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        from firstmate.answers import compact

        said = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": safe(record.getMessage()),
        }
        if record.exc_info:
            said["traceback"] = safe(self.formatException(record.exc_info))
        return compact(said)


def safe(text: str) -> str:
    """A text as it may stand in a log."""
    return redact(clean(text if len(text) <= _MOST else f"{text[: _MOST // 2]} … {text[-_MOST // 2 :]}"))


def set_up(form: LogFormat = "text", level: int = logging.WARNING) -> None:
    """Sends every record of the process to stderr, through the filter; handlers that others set up before are dropped.

    Args:
        form: how a record is written.
        level: the least that is told.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactedJson() if form == "json" else RedactedText())
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.captureWarnings(True)
    threading.excepthook = _died


def _died(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is None or isinstance(args.exc_value, SystemExit):
        return
    about = (args.exc_type, args.exc_value, args.exc_traceback)
    logging.getLogger("firstmate").error("a thread ended with an error", exc_info=about)
