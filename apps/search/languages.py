"""How far search finds what stands in the other language alone, on the sample company.

    python -m apps.search.languages [--publish FOLDER] [--home FOLDER]

Chinese questions are asked of the English documents and English questions of the Chinese ones; the documents in the
question's own language are not indexed. The questions are those of ``sample/questions.yaml`` and ``sample/slips.yaml``
that a document in the other language answers, of both splits, and those of ``sample/languages.yaml``. Only what answers
counts as found, what is merely related does not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from apps.search import service
from apps.search.evaluate import Rows, judged, rows, table
from core.evaluation import scoreboard
from core.evaluation.results import Evaluation
from core.evaluation.retrieval import Ranker, Setting
from core.evaluation.scoreboard import Wanted
from core.evaluation.tasks import report
from core.providers.sync import run
from core.retrieval.library import Library
from core.retrieval.options import MODES, SearchOptions
from core.runtime import Runtime, open_runtime
from core.settings import load_settings, override

DIRECTIONS = (("zh", "en"), ("en", "zh"))  # language of the questions, of the documents
MEASURES = ("success@1", "ndcg@10", "recall@10")
COMMAND = "python -m apps.search.languages"
ANSWERS = 2  # the gain of a document that answers


def asked(question: str, documents: str) -> Rows:
    """Questions in one language, each with those documents in the other one that answer it."""
    found = [row for row in rows("questions.yaml", "questions", "all") if row["lang"] == question]
    found += [
        {**row, "relevant": dict.fromkeys(row["wanted"], ANSWERS)}
        for row in rows("slips.yaml", "slips", "all")
        if row["kind"] == "other_language" and row["lang"] == documents
    ]
    found += [
        row for row in rows("languages.yaml", "questions", "all") if row["id"].startswith(f"{question}-{documents}-")
    ]
    answered = ((row, [name for name, gain in row["relevant"].items() if gain == ANSWERS]) for row in found)
    gains = ((row, {name: 1 for name in names if name.startswith(f"{documents}/")}) for row, names in answered)
    return [{"id": row["id"], "query": row["query"], "relevant": gain} for row, gain in gains if gain]


def evaluate(runtime: Runtime) -> dict[str, list[Evaluation]]:
    """By direction, one evaluation a mode; hybrid stands last."""
    found: dict[str, list[Evaluation]] = {}
    with closing(Library.of(runtime)) as library:
        for question, documents in DIRECTIONS:
            index = library.collection(documents)
            run(index.sync([service.SAMPLE / documents]))
            names = {info.id: Path(info.source).relative_to(service.SAMPLE).as_posix() for info in index.documents()}
            data, questions = f"sample company, {question} to {documents}", asked(question, documents)
            found[data] = []
            for mode in MODES:
                ranker = Ranker([index], Setting(SearchOptions(mode=mode)), names)
                found[data].append(
                    judged(mode, data, "all", questions, lambda text, by=ranker: run(by(text)), MEASURES)  # type: ignore[misc]
                )
    return found


def publish(found: dict[str, list[Evaluation]], folder: Path) -> list[Path]:
    """Write the figures for the scoreboard."""
    written = []
    for (data, made), (question, documents) in zip(found.items(), DIRECTIONS, strict=True):
        wanted = [Wanted(name, f"{data}: {name}") for name in MEASURES]
        figures = scoreboard.published("search", report(data, made, COMMAND), made[-1], wanted)
        written.append(scoreboard.save(folder, f"search-sample-{question}-{documents}", figures))
    return written


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--publish", type=Path, metavar="FOLDER", help="write the figures for docs/scoreboard.md")
    parser.add_argument("--home", type=Path, help="a workspace to keep; by default a temporary one")
    given = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_runtime(override(load_settings(), home=str(given.home or folder))) as runtime,
    ):
        found = evaluate(runtime)
    sys.stdout.write(f"{table(found, MEASURES)}\n")
    if given.publish:
        sys.stdout.writelines(f"{path}\n" for path in publish(found, given.publish))
    return 0


if __name__ == "__main__":
    sys.exit(main())
