"""How good search is on the sample company: judged queries by every mode, and slips without and with help.

    python -m apps.search.evaluate [--split test] [--publish FOLDER] [--home FOLDER]

Judged queries are of ``sample/questions.yaml``, slips of ``sample/slips.yaml``. A slip is found when a document that
its clean query wants is among the first five. What the other language has is shown beside the first page of eight:
with it, eleven documents are seen, so that success@11 is the fair comparison. Settings are chosen on the split
``tune``; ``test`` is for reporting.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from apps.search import service
from apps.search.query import MODES, Query
from apps.search.service import Search
from core.evaluation import ranking, results, scoreboard
from core.evaluation.results import Evaluation, Measure
from core.evaluation.scoreboard import Wanted
from core.evaluation.tasks import report
from core.providers.sync import run
from core.settings import load_settings, override
from core.types import Hit

MEASURES = ("ndcg@10", "success@1", "success@5", "success@11", "recall@100")
COMMAND = "python -m apps.search.evaluate --split {split}"
Rows = Sequence[dict[str, Any]]


def rows(name: str, part: str, split: str) -> Rows:
    """The entries of ``part`` of the sample's file ``name`` that are of ``split``."""
    return [row for row in _parsed(service.SAMPLE / name)[part] if split in ("all", row["split"])]


@lru_cache(maxsize=4)
def _parsed(path: Path) -> dict[str, Rows]:
    import yaml

    found: dict[str, Rows] = yaml.safe_load(path.read_text("utf-8"))
    return found


def ranked(desk: Search, query: Query, *, beside: bool = False) -> list[str]:
    """The documents found, best first, as the sample names them; what is folded comes right after what it repeats.

    Args:
        beside: put what the other language has after the first page's, beside which it is shown.
    """
    found = desk.find(query)
    documents = _named(found.hits)
    also = desk.beside(query, found) if beside else None
    if also is None:
        return documents
    return list(dict.fromkeys([*documents[: service.PAGE], *_named(also.hits), *documents]))


def _named(hits: Sequence[Hit]) -> list[str]:
    every = [one for hit in hits for one in (hit, *hit.similar)]
    return list(dict.fromkeys(Path(hit.passage.source).relative_to(service.SAMPLE).as_posix() for hit in every))


def judged(
    system: str,
    data: str,
    split: str,
    entries: Rows,
    search: Callable[[str], list[str]],
    names: Sequence[str] = MEASURES,
) -> Evaluation:
    """``search`` on those of ``entries`` that some document answers."""
    asked = [entry for entry in entries if entry.get("relevant") or entry.get("wanted")]
    gains = [entry.get("relevant") or dict.fromkeys(entry["wanted"], 1) for entry in asked]
    lists = [search(entry["query"]) for entry in asked]
    columns: dict[str, list[Any]] = {
        name: list(map(float, values)) for name, values in ranking.measure(lists, gains, names).items()
    }
    measures = tuple(Measure(name) for name in names)
    return Evaluation(
        task="search",
        system=system,
        data=data,
        split=split,
        checksum=hashlib.sha256(repr([(entry["id"], entry["query"]) for entry in asked]).encode()).hexdigest(),
        ids=tuple(entry["id"] for entry in asked),
        columns=columns,
        measures=measures,
        figures=results.figures(measures, columns),
    )


def evaluate(desk: Search, split: str) -> dict[str, list[Evaluation]]:
    """By set of queries; in each, the system that is published stands last."""
    desk.prepare()
    run(desk.places()[0].index.embed_pending())
    sample = Query("", places=("sample",))

    def find(text: str, **changed: Any) -> list[str]:
        return ranked(desk, replace(sample, text=text, **changed))

    def helped(text: str, *, beside: bool = False) -> list[str]:
        return ranked(desk, desk.understood(replace(sample, text=text)).query, beside=beside)

    questions = rows("questions.yaml", "questions", split)
    modes = sorted(MODES, key=lambda mode: mode == "hybrid")
    found = {
        "sample company": [
            judged(mode, "sample company", split, questions, lambda text, mode=mode: find(text, mode=mode))  # type: ignore[misc]
            for mode in modes
        ]
    }
    for part, name in (("slips", "sample company, slips"), ("clean", "sample company, clean queries")):
        entries = rows("slips.yaml", part, split)
        found[name] = [
            judged("as typed", name, split, entries, find),
            judged("other language beside", name, split, entries, lambda text: helped(text, beside=True)),
            judged("with help", name, split, entries, helped),
        ]
    return found


def corrected(desk: Search, split: str) -> tuple[int, int]:
    """How many of the clean queries are corrected although nothing is wrong with them, and how many there are."""
    asked = [row["query"] for row in rows("slips.yaml", "clean", split)]
    return sum(bool(desk.understood(Query(query, places=("sample",))).changes) for query in asked), len(asked)


def publish(found: dict[str, list[Evaluation]], split: str, folder: Path) -> list[Path]:
    """Write the figures for the scoreboard."""
    written = []
    for (data, made), file in zip(found.items(), ("", "-slips", "-clean"), strict=True):
        names = ("success@5", "ndcg@10") if file else ("ndcg@10", "success@1", "recall@100")
        told = report(data, made, COMMAND.format(split=split))
        published = scoreboard.published("search", told, made[-1], [Wanted(name, f"{data}: {name}") for name in names])
        written.append(scoreboard.save(folder, f"search-sample{file}-{split}", published))
    return written


def table(found: dict[str, list[Evaluation]], names: Sequence[str] = MEASURES) -> str:
    lines = []
    for data, made in found.items():
        lines.append(f"{data} ({len(made[0].ids)} queries)")
        lines.append(f"  {'':22}" + "".join(f"{name:>24}" for name in names))
        for one in made:
            cells = (one.figures[name] for name in names)
            lines.append(f"  {one.system:22}" + "".join(f"{_cell(cell):>24}" for cell in cells))
    return "\n".join(lines)


def _cell(figure: results.Figure) -> str:
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=("test", "tune", "all"), default="test")
    parser.add_argument("--publish", type=Path, metavar="FOLDER", help="write the figures for docs/scoreboard.md")
    parser.add_argument("--home", type=Path, help="a workspace to keep; by default a temporary one")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        desk = Search.open(override(load_settings(), home=str(given.home or folder)))
        try:
            found = evaluate(desk, given.split)
            wrong, clean = corrected(desk, given.split)
        finally:
            desk.close()
    sys.stdout.write(f"split: {given.split}\n{table(found)}\nclean queries corrected: {wrong} of {clean}\n")
    if given.publish:
        sys.stdout.writelines(f"{path}\n" for path in publish(found, given.split, given.publish))
    return 0


if __name__ == "__main__":
    sys.exit(main())
