"""Logs without secrets: every record of this process is masked before any handler sees it."""

from __future__ import annotations

import logging
import sys
import traceback
from types import TracebackType
from typing import Any, TextIO

from core.i18n import secret_free


def setup(level: int | str = "WARNING", stream: TextIO | None = None) -> None:
    """Mask secrets in all log records and uncaught errors, and log to ``stream`` (default: stderr).

    The masking sits where records are made and not on a handler, so that it also holds for handlers that
    libraries install later. Calling it twice is harmless.
    """
    made = logging.getLogRecordFactory()
    if not getattr(made, "masks_secrets", False):

        def masking(*args: Any, **kwargs: Any) -> logging.LogRecord:
            return mask(made(*args, **kwargs))

        masking.masks_secrets = True  # type: ignore[attr-defined]  # the mark that keeps setup() idempotent
        logging.setLogRecordFactory(masking)
        sys.excepthook = _uncaught
    logging.basicConfig(level=level, stream=stream or sys.stderr, format="%(levelname)s %(name)s: %(message)s")


def mask(record: logging.LogRecord) -> logging.LogRecord:
    """``record`` with secrets masked in its message, arguments and traceback."""
    try:
        said = record.getMessage()
    except (TypeError, ValueError, KeyError):  # a wrong call of the logger: its handler reports that
        said = None
    if said is not None and (clean := secret_free(said)) != said:
        record.msg, record.args = clean, ()
    if record.exc_info and record.exc_info[0]:
        record.exc_text = secret_free("".join(traceback.format_exception(*record.exc_info))).rstrip("\n")
    return record


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(secret_free("".join(traceback.format_exception(kind, error, trace))))
