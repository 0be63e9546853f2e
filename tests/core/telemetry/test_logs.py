"""No handler, whoever installed it, ever sees a secret."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.i18n import remember_secret
from core.telemetry.logs import setup

KEY = "sk-logged-0123456789abcdef"
ROOT = Path(__file__).parents[3]


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    """The output of a logger set up by somebody else, before and after ours."""
    factory, hook = logging.getLogRecordFactory(), sys.excepthook
    out = io.StringIO()
    logger = logging.getLogger("a-library")
    handler = logging.StreamHandler(out)
    logger.addHandler(handler)
    setup()
    setup()
    yield out
    logger.removeHandler(handler)
    logging.setLogRecordFactory(factory)
    sys.excepthook = hook


def test_message_and_arguments_are_masked(said: io.StringIO) -> None:
    remember_secret("a-plain-password")
    logger = logging.getLogger("a-library")
    logger.warning("sent %s to %s with %d", {"Authorization": f"Bearer {KEY}"}, "host", 3)
    logger.warning("a-plain-password")
    assert KEY not in said.getvalue()
    assert "a-plain-password" not in said.getvalue()
    assert "to host with 3" in said.getvalue()


def test_tracebacks_are_masked(said: io.StringIO) -> None:
    try:
        raise ValueError(f"refused {KEY}")
    except ValueError:
        logging.getLogger("a-library").exception("failed")
    assert KEY not in said.getvalue()
    assert "ValueError: refused sk-" in said.getvalue()


def test_other_records_are_left_alone(said: io.StringIO) -> None:
    logging.getLogger("a-library").warning("%s of %s", 1, [2])
    assert said.getvalue() == "1 of [2]\n"


def test_an_uncaught_error_is_masked() -> None:
    code = f"from core.telemetry.logs import setup; setup(); raise ValueError('{KEY[:9]}' + '{KEY[9:]}')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "ValueError: sk-…cdef" in done.stderr
    assert KEY not in done.stderr
