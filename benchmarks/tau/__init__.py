"""The retail and airline domains of tau2-bench in our tool layer: ``python -m benchmarks tau --data FOLDER``.

The tools are written from the public policies and tasks, over the public databases, which are read from ``FOLDER`` and
never copied. Unlike the benchmark's own, these tools keep the policies' rules themselves.
"""

from __future__ import annotations

from benchmarks.tau.run import run

__all__ = ["run"]
