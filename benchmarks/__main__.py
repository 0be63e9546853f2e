"""``python -m benchmarks [name …] [--gate]``: run, print, keep raw figures, write the page of the docs."""

from __future__ import annotations

import argparse
import json
import sys
import time
from importlib import import_module

from benchmarks.report import keep, machine, show, write_docs

BENCHES = ("overhead", "chunks", "streams", "imports", "gguf", "pages", "durability")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"which to run; all when none is named: {', '.join(BENCHES)}"
    )
    parser.add_argument("--gate", action="store_true", help="exit with 1 when a target is missed")
    given = parser.parse_args()
    unknown = set(given.names) - set(BENCHES)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; choose from {', '.join(BENCHES)}")
    missed = 0
    for name in given.names or BENCHES:
        started = time.perf_counter()
        where = machine()
        path = keep(import_module(f"benchmarks.{name}").run(), where)
        data = json.loads(path.read_text("utf-8"))
        show(data)
        print(
            f"  ({time.perf_counter() - started:.0f} s, load {where['load']}, raw figures in benchmarks/results/{path.name})"
        )
        missed += sum(target["met"] is False for target in data["targets"])
    write_docs(BENCHES)
    print(f"\n{missed} targets missed" if missed else "\nall targets met")
    return 1 if missed and given.gate else 0


if __name__ == "__main__":
    sys.exit(main())
