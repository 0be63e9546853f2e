"""Measure the quality of everything on data, and write the scoreboard: what ``make eval`` runs.

    python -m apps.measure [--data FOLDER] [--into docs] [--only NAME …]

The sample shop and the sample company are always measured. Public data sets are measured when ``FOLDER`` has them (by default the folder
``../shared/data``); each row below is a command that anybody can give on their own copy. Figures are published in
``INTO/measured`` and ``INTO/scoreboard.md`` is written anew. A run that is stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.evaluation import scoreboard

DATA = Path("../shared/data")
TOUCHSTONE = ("-m", "apps.cli", "evaluate")


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement: a Python command line that takes ``--publish``. ``{root}`` is the folder of public data.

    ``data`` is what must be there for it, below that folder; ``{data}`` in the command is its path.
    """

    name: str
    command: tuple[str, ...]
    data: str = ""

    def arguments(self, folder: Path) -> list[str]:
        return [part.replace("{data}", str(folder / self.data)).replace("{root}", str(folder)) for part in self.command]


def _retrieval(name: str, data: str, *more: str) -> Row:
    return Row(name, (*TOUCHSTONE, "retrieval", "--data", "{data}", "--mode", "all", "--resume", *more), data)


def _answers(name: str, data: str, *more: str) -> Row:
    return Row(name, (*TOUCHSTONE, "answers", "--data", "{data}", "--sample", "1000", "--resume", *more), data)


def _intents(name: str, title: str, data: str, *more: str) -> Row:
    return Row(name, (*TOUCHSTONE, "intents", "--name", title, *more), data)


ENGLISH = (  # the embedding models that know English: name of the row, of the set, and how it is chosen
    ("", "", ()),
    ("-minilm", "-MiniLM", ("--embedding", "embedded:minilm")),
    ("-mpnet", "-MPNet", ("--embedding", "embedded:mpnet")),
)
ROWS = (
    Row("shop", ("-m", "apps.customer_service.evaluate")),
    Row("shop-answers", ("-m", "apps.customer_service.evaluate_answers")),
    Row("curated", ("-m", "apps.customer_service.evaluate_curated")),
    Row("guidelines", ("-m", "apps.customer_service.evaluate_answers", "--data", "{data}"), "abcd"),
    Row("search", ("-m", "apps.search.evaluate")),
    _retrieval("scifact", "scifact"),
    _retrieval("cmrc2018", "cmrc2018/cmrc2018_dev.json"),
    _retrieval("afqmc", "zh-pairs/AFQMC/dev.txt"),
    _retrieval("cmrc2018-among-scifact", "cmrc2018/cmrc2018_dev.json", "--among", "{root}/scifact"),
    *(
        Row(f"sentiment-{name}", ("-m", "apps.financial_sentiment.evaluate", "--data", "{root}", "--set", name), folder)
        for name, folder in (
            ("sentfin", "sentfin"),
            ("twitter", "twitter_financial_news"),
            ("finfe", "fincuge_zh"),
            ("fiqa", "fiqa_sa"),
            ("finnsp", "fincuge_zh"),
            ("finese", "fincuge_zh"),
        )
    ),
    Row("sentiment-zh", ("-m", "apps.financial_sentiment.evaluate", "--set", "zh")),
    Row(
        "recommendation",
        ("-m", "apps.recommendation.evaluate", "--data", "{data}", "--new-items"),
        "ml-latest-small",
    ),
    Row(
        "recommendation-rerank",
        (
            "-m",
            "apps.recommendation.evaluate",
            "--data",
            "{data}",
            "--core",
            "0",
            "--candidates",
            "{root}/amazon-games/candidates200/Games.random",
        ),
        "amazon-games",
    ),
    *(
        _intents(
            f"banking77{row}",
            f"Banking77{title}",
            "banking77",
            *chosen,
            "--train",
            "{data}/train.csv",
            "--test",
            "{data}/test.csv",
        )
        for row, title, chosen in ENGLISH
        if row != "-minilm"
    ),
    *(
        _intents(
            f"banking77-{shots}-shot{row}",
            f"Banking77-{shots}-shot{title}",
            "fewshot-intent/BANKING77",
            *(*chosen, "--train", f"{{data}}/train_{shots}", "--test", "{data}/test"),
        )
        for shots in (5, 10)
        for row, title, chosen in ENGLISH
    ),
    _intents(
        "clinc150",
        "CLINC150",
        "clinc150/data_full.json",
        *("--train", "{data}", "--validation", "{data}", "--test", "{data}", "--kept", "0.955"),
    ),
    _intents(
        "banking77-oos",
        "Banking77-OOS",
        "fewshot-intent/BANKING77-OOS",
        *("--train", "{data}/train"),
        *(word for part in ("valid", "id-oos/valid", "ood-oos/valid") for word in ("--validation", f"{{data}}/{part}")),
        *(word for part in ("test", "id-oos/test") for word in ("--test", f"{{data}}/{part}")),
    ),
    _intents(
        "intents-zh",
        "Shop-zh",
        "",
        *("--train", "apps/customer_service/sample/intents/zh_train.csv"),
        *("--test", "apps/customer_service/sample/intents/zh_test.csv"),
    ),
    _answers("answers-cmrc2018", "cmrc2018/cmrc2018_dev.json", "--unanswerable", "{root}/cmrc2018/cmrc2018_trial.json"),
    _answers("answers-cmrc2018-paragraphs", "cmrc2018/cmrc2018_dev.json", "--remove", "paragraphs"),
    _answers("answers-cmrc2018-sentences", "cmrc2018/cmrc2018_dev.json", "--remove", "sentences"),
    _answers("answers-scifact", "scifact", "--evidence", "{root}/scifact/evidence.jsonl"),
    _retrieval("scifact-among-cmrc2018", "scifact", "--among", "{root}/cmrc2018/cmrc2018_dev.json"),
)


def measure(rows: Sequence[Row], data: Path, into: Path) -> list[str]:
    """Run ``rows`` one after the other; the names of those that failed.

    Each runs in a process of its own, so that one that fails or needs much memory leaves the others alone.
    """
    failed = []
    for row in rows:
        if row.data and not (data / row.data).exists():
            sys.stderr.write(f"{row.name}: not measured, {data / row.data} is not there\n")
            continue
        sys.stderr.write(f"{row.name}\n")
        command = [sys.executable, *row.arguments(data), "--publish", str(into / "measured")]
        done = subprocess.run(command, check=False)  # noqa: S603 - the rows above
        if done.returncode:
            failed.append(row.name)
    return failed


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of public data sets")
    parser.add_argument("--into", type=Path, default=Path("docs"), help="where measured/ and scoreboard.md are")
    parser.add_argument("--only", nargs="+", choices=[row.name for row in ROWS], default=None)
    given = parser.parse_args(arguments)
    failed = measure([row for row in ROWS if given.only is None or row.name in given.only], given.data, given.into)
    scoreboard.main([str(given.into)])
    if failed:
        sys.stderr.write(f"failed: {', '.join(failed)}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
