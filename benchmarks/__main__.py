"""``python -m benchmarks [name …] [--gate]``: run, print, keep raw figures, write the page of the docs."""

from __future__ import annotations

import argparse
import json
import sys
import time
from importlib import import_module
from pathlib import Path

from benchmarks.report import keep, machine, show, write_docs

BENCHES = (
    "overhead",
    "chunks",
    "streams",
    "imports",
    "gguf",
    "transformers",
    "embeddings",
    "gpu",
    "gpu_lora",
    "pages",
    "durability",
)
LONG = ("retrieval", "growth", "search", "recommendation", "sentiment", "tau", "conversations")  # when named: minutes
OWN_DATA = ("recommendation", "sentiment", "conversations")  # of them: they draw what they measure on


def main() -> int:
    everything = (*BENCHES, *LONG)
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="name",
        help=f"which to run: {', '.join(everything)}; all but {' and '.join(LONG)} when none is named",
    )
    parser.add_argument("--gate", action="store_true", help="exit with 1 when a target is missed")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of public data")
    parser.add_argument("--sizes", default="10000,100000,1000000", help="of growth and search, in passages")
    parser.add_argument(
        "--real", type=int, default=1000, help="sentences that growth and search embed; the others are mixed of them"
    )
    parser.add_argument("--events", default="10000,100000,1000000", help="of recommendation: sizes of the logs")
    parser.add_argument("--limit", type=float, default=480, help="of recommendation: seconds for each of them")
    parser.add_argument(
        "--backlog", type=int, default=50_000, help="of sentiment: items added by processes that are killed"
    )
    parser.add_argument("--passages", type=int, default=20_000, help="of retrieval")
    parser.add_argument("--unchanged", type=int, default=10_000, help="files that retrieval syncs twice")
    parser.add_argument("--embedding", default="embedded:e5", help="model of retrieval")
    parser.add_argument("--peers", default=sys.executable, help="the Python that has the packages of peers.txt")
    given = parser.parse_args()
    unknown = set(given.names) - set(everything)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; choose from {', '.join(everything)}")
    missed = 0
    for name in given.names or BENCHES:
        if name in LONG and name not in OWN_DATA and not given.data.is_dir():
            parser.error(f"{name} needs public data in {given.data}; give another folder with --data")
        started = time.perf_counter()
        where = machine()
        run = import_module(f"benchmarks.{name}").run
        path = keep(run(given) if name in LONG else run(), where)
        data = json.loads(path.read_text("utf-8"))
        show(data)
        print(
            f"  ({time.perf_counter() - started:.0f} s, load {where['load']}, raw figures in benchmarks/results/{path.name})"
        )
        missed += sum(target["met"] is False for target in data["targets"])
    write_docs((*BENCHES, *LONG))
    print(f"\n{missed} targets missed" if missed else "\nall targets met")
    return 1 if missed and given.gate else 0


if __name__ == "__main__":
    sys.exit(main())
