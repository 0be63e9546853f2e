"""The durability benchmark in its short form (``durability_short.py``), in a process of its own.

It kills processes, limits what they may write, and forks them from a server; what other tests left in this process (threads,
limits, environment) would go with every fork.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SHORT = Path(__file__).with_name("durability_short.py")


@pytest.mark.timeout(400)
def test_nothing_is_lost() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", str(SHORT)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=380,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
