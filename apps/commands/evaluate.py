"""``touchstone evaluate``: measure search and answers on your own files, compare with a baseline, gate.

Exit code 1 says that a figure is significantly worse than the baseline's, or missing (``--gate``).
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from apps.commands.calibrate import told_of
from apps.commands.checkup import Json
from apps.commands.documents import demand_documents
from apps.commands.shell import STOPPED, Command, Group, Out, console, out_of
from core.errors import InputError, MissingFile

if TYPE_CHECKING:
    from core.evaluation.corpus import Mode
    from core.evaluation.datasets import Dataset, Record
    from core.evaluation.gate import GateResult
    from core.evaluation.results import Evaluation, Report
    from core.runtime import Runtime

app = typer.Typer(
    name="evaluate", cls=Group, help="cli.evaluate.about", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)  # fmt: skip
Bar = Callable[[str, int, int], None]  # what, done, total

Data = Annotated[Path, typer.Option("--data", help="cli.evaluate.data")]
Split = Annotated[str, typer.Option("--split", help="cli.evaluate.split")]
Sample = Annotated[int | None, typer.Option("--sample", min=1, help="cli.evaluate.sample")]
Baseline = Annotated[Path | None, typer.Option("--baseline", help="cli.evaluate.baseline")]
Gate = Annotated[bool, typer.Option("--gate", help="cli.evaluate.gate")]
Save = Annotated[Path | None, typer.Option("--save", help="cli.evaluate.save")]
Page = Annotated[Path | None, typer.Option("--html", help="cli.evaluate.html")]
Publish = Annotated[Path | None, typer.Option("--publish", help="cli.evaluate.publish")]
Resume = Annotated[bool | None, typer.Option("--resume/--fresh", help="cli.evaluate.resume", show_default=False)]
ALL = "all"
PAIRS = (".txt", ".tsv")  # files of sentence pairs
BASELINE = "lexical"  # sentences chosen by shared words alone, beside every answering system
PUBLISHED = {  # of each task, in the scoreboard
    "retrieval": ("ndcg@10", "success@1", "recall@100"),
    "answers": ("answered", "supported", "unsupported_at_60%", "refused", "refused_at_10%", "ece"),
    "written": ("answered", "said", "said_when_answered", "supported", "refused"),
    "recommendation": ("hr@10", "ndcg@10"),
    "financial sentiment": ("accuracy", "weighted_f1", "macro_f1", "ece", "accuracy_at_80"),
    "intents": ("accuracy", "in_scope_accuracy", "oos_recall", "oos_precision", "ece"),
}


@app.command("retrieval", cls=Command, help="cli.evaluate.retrieval.about")
def retrieval(
    data: Data,
    mode: Annotated[str, typer.Option("--mode", help="cli.evaluate.retrieval.mode")] = "hybrid",
    symmetric: Annotated[bool, typer.Option("--symmetric", help="cli.evaluate.retrieval.symmetric")] = False,
    among: Annotated[list[Path] | None, typer.Option("--among", help="cli.evaluate.retrieval.among")] = None,
    collection: Annotated[
        str, typer.Option("--collection", "-c", help="cli.evaluate.retrieval.collection")
    ] = "default",
    split: Split = "test",
    sample: Sample = None,
    baseline: Baseline = None,
    gate: Gate = False,
    save: Save = None,
    html: Page = None,
    publish: Publish = None,
    resume: Resume = None,
    json: Json = False,
) -> None:
    from core.evaluation import judged
    from core.evaluation.corpus import MODES
    from core.evaluation.datasets import among as mixed

    if mode not in (*MODES, ALL):
        raise InputError(reason="bad_value", name="--mode", value=mode, allowed=", ".join((*MODES, ALL)))
    chosen = MODES if mode == ALL else tuple(m for m in MODES if m == mode)
    files = Files(baseline, gate, save, html, publish)
    if data.suffix in judged.SUFFIXES:
        asked = judged.load_judged(data)
        _measure(
            lambda runtime, out: _in_place(runtime, asked, collection, chosen, out, resume), files, json, _against_legs
        )
        return
    found = _read(data, split, sample)
    if among:
        found = mixed(found, [_read(path, split, None) for path in among])
    alike = symmetric or (data.is_file() and data.suffix in PAIRS)
    _measure(lambda runtime, out: _search(runtime, found, chosen, alike, out, resume), files, json, _against_legs)


@app.command("answers", cls=Command, help="cli.evaluate.answers.about")
def answers(
    data: Data,
    unanswerable: Annotated[
        list[Path] | None, typer.Option("--unanswerable", help="cli.evaluate.answers.unanswerable")
    ] = None,
    remove: Annotated[str | None, typer.Option("--remove", help="cli.evaluate.answers.remove")] = None,
    evidence: Annotated[Path | None, typer.Option("--evidence", help="cli.evaluate.answers.evidence")] = None,
    mode: Annotated[str, typer.Option("--mode", help="cli.evaluate.answers.mode")] = "hybrid",
    calibrated: Annotated[bool, typer.Option("--calibrate", help="cli.evaluate.answers.calibrate")] = False,
    model: Annotated[str | None, typer.Option("--model", "-m", help="cli.evaluate.answers.model")] = None,
    split: Split = "test",
    sample: Sample = None,
    baseline: Baseline = None,
    gate: Gate = False,
    save: Save = None,
    html: Page = None,
    publish: Publish = None,
    resume: Resume = None,
    json: Json = False,
) -> None:
    if mode not in _ANSWER_MODES:
        raise InputError(reason="bad_value", name="--mode", value=mode, allowed=", ".join(_ANSWER_MODES))
    found = _asked(data, split, evidence, remove, sample)
    others = [_questions(path, split, sample) for path in unanswerable or []]
    files = Files(baseline, gate, save, html, publish)
    _measure(
        lambda runtime, out: _answer(runtime, found, others, Way(mode, model, calibrated), out, resume), files, json
    )


# --- what is measured -----------------------------------------------------------------------------


async def _search(
    runtime: Runtime, data: Dataset, modes: Sequence[Any], symmetric: bool, out: Out, resume: bool | None
) -> list[Evaluation]:
    from core.evaluation.corpus import Corpus
    from core.evaluation.retrieval import measured
    from core.jobs import Jobs
    from core.providers import symmetric as reading

    found = []
    model = runtime.settings.model("embedding")
    model = f"{reading.ENGINE}:{model}" if symmetric else model
    for mode in modes:
        with _bar(out) as bar:
            corpus = await Corpus.open(data, runtime, mode, embedding=model, told=bar)
            with closing(corpus):
                config = {} if mode == "keyword" else {"embedding": model}
                if mode == "hybrid" and (rerank := runtime.settings.model("rerank")):
                    config["rerank"] = rerank
                found.append(
                    await measured(
                        data,
                        corpus.search,
                        name=mode,
                        jobs=Jobs(runtime.workspace),
                        config=config,
                        resume=resume,
                        told=lambda job: bar("queries", job.done + job.failed, job.total),
                    )
                )
    return found


async def _in_place(
    runtime: Runtime, data: Dataset, collection: str, modes: Sequence[Any], out: Out, resume: bool | None
) -> list[Evaluation]:
    """Judged questions on the documents of a collection, which is searched as it stands."""
    from core.evaluation.judged import placed
    from core.evaluation.retrieval import Ranker, Setting, measured
    from core.jobs import Jobs
    from core.retrieval.library import Library
    from core.retrieval.options import SearchOptions

    found = []
    with closing(Library.of(runtime)) as library:
        demand_documents(library, collection)
        index = library.collection(collection)
        documents = index.documents()
        asked = placed(data, documents)
        models = {name: runtime.settings.model(name) for name in ("embedding", "rerank")}
        for mode in modes:
            with _bar(out) as bar:
                if mode != "keyword":
                    await index.embed_pending(progress=lambda step, bar=bar: bar(step.stage, step.done, step.total))  # type: ignore[misc]
                ranker = Ranker([index], Setting(SearchOptions(mode=mode)), {info.id: info.id for info in documents})
                found.append(
                    await measured(
                        asked,
                        ranker,
                        name=mode,
                        jobs=Jobs(runtime.workspace),
                        config={"collection": collection, "generation": index.info().generation, **models},
                        resume=resume,
                        told=lambda job, bar=bar: bar("queries", job.done + job.failed, job.total),  # type: ignore[misc]
                    )
                )
    return found


_ANSWER_MODES = ("hybrid", "keyword")


@dataclass(frozen=True, slots=True)
class Way:
    """How the measured system answers."""

    mode: str
    model: str | None = None  # that writes; without one sources are quoted
    calibrated: bool = False  # on the collection's own sentences, first


async def _answer(
    runtime: Runtime, data: Dataset, others: Sequence[Dataset], way: Way, out: Out, resume: bool | None
) -> list[Evaluation]:
    from core.evaluation.corpus import Corpus
    from core.evaluation.judges import answer_output, answer_task
    from core.evaluation.tasks import evaluate
    from core.evaluation.unchecked import pasted
    from core.jobs import Jobs

    chat = runtime.chat(way.model) if way.model else None
    judge = runtime.claim_judge() if way.model else None
    task, found = answer_task(data, others, written=chat is not None), []
    with _bar(out) as bar:

        async def measure(name: str, mode: Mode, answer: Callable[[Corpus, str], Any], config: dict[str, Any]) -> None:
            corpus = await Corpus.open(data, runtime, mode, told=bar)
            with closing(corpus):
                if way.calibrated and name != BASELINE:
                    made = await corpus.calibrate(told=lambda done, of: bar("calibration", done, of))
                    out.note(out.t("calibrate.done", **told_of(made)))
                    config = {**config, "threshold": made.threshold}

                async def answered(record: Record) -> dict[str, Any]:
                    return await answer(corpus, record.input)

                found.append(
                    await evaluate(
                        task,
                        answered,
                        name=name,
                        jobs=Jobs(runtime.workspace),
                        config=config,
                        resume=resume,
                        on_progress=lambda job: bar("questions", job.done + job.failed, job.total),
                    )
                )

        async def quoted(corpus: Corpus, question: str) -> dict[str, Any]:
            return answer_output(await corpus.answer(question, chat, judge))

        mode: Mode = "keyword" if way.mode == "keyword" else "hybrid"
        config: dict[str, Any] = {"mode": mode}
        if mode == "hybrid":
            config["embedding"] = runtime.settings.model("embedding") or ""
        await measure(BASELINE, "keyword", lambda corpus, question: corpus.quote_by_words(question), {})
        if chat is not None:
            await measure(
                f"{way.model}, unchecked", mode, lambda corpus, question: pasted(corpus, question, chat), config
            )
        if judge is not None:
            config = {**config, "judge": judge.name}
        await measure(way.model or "extractive", mode, quoted, config)
    return found


def _asked(path: Path, split: str, evidence: Path | None, remove: str | None, sample_size: int | None) -> Dataset:
    """The questions with their answers, or with those taken out that ``remove`` says; then a sample of them."""
    from core.evaluation.datasets import sample
    from core.evaluation.loaders import with_evidence
    from core.evaluation.removed import REMOVALS

    if remove and remove not in REMOVALS:
        raise InputError(reason="bad_value", name="--remove", value=remove, allowed=", ".join(REMOVALS))
    data = _read(path, split, None)
    if evidence:
        data = with_evidence(data, evidence)
    if not any(record.answers for record in data.records):
        raise InputError(reason="data_no_answers", name=data.name)
    for name, removed in REMOVALS.items():
        data = removed(data) if name == remove else data
    return sample(data, sample_size) if sample_size else data


def _questions(path: Path, split: str, sample_size: int | None) -> Dataset:
    """A BEIR folder, a SQuAD file, or questions one a line."""
    from core.evaluation.datasets import sample
    from core.evaluation.loaders import load_questions

    if path.is_dir() or path.name.endswith((".json", ".json.gz")):
        return _read(path, split, sample_size)
    data = load_questions(path)
    return sample(data, sample_size) if sample_size else data


def _read(path: Path, split: str, sample_size: int | None) -> Dataset:
    """A BEIR folder, a SQuAD file or a file of sentence pairs."""
    from core.evaluation.datasets import sample
    from core.evaluation.loaders import load_beir, load_pairs, load_squad

    if not path.exists():
        raise MissingFile(path=str(path), needed_for="--data")
    if path.is_dir():
        data = load_beir(path, split=split)
    else:
        data = load_pairs(path) if path.suffix in PAIRS else load_squad(path)
    return sample(data, sample_size) if sample_size else data


# --- what is told ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Files:
    """What a measurement is compared with and written to."""

    baseline: Path | None
    gate: bool
    save: Path | None
    html: Path | None
    publish: Path | None

    def before(self) -> Report | None:
        """The baseline; read before the long work, so that a wrong file is known at once."""
        from core.evaluation.results import load

        if self.gate and self.baseline is None:
            raise InputError(reason="bad_value", name="--gate", value="", allowed="--baseline FILE")
        return load(self.baseline) if self.baseline else None

    def write(self, made: Report, verdict: GateResult | None, language: str, note: str = "") -> Iterator[Path]:
        """Write what was asked for; ``note`` stands beside the published figures."""
        from core.evaluation import results, scoreboard
        from core.evaluation.reports import save_html

        if self.save:
            results.save(made, self.save)
            yield self.save
        if self.html:
            save_html(made, self.html, language, verdict)
            yield self.html
        if self.publish:
            main = made.evaluations[-1]  # hybrid, when all were measured; the others stand beside it
            wanted = [
                scoreboard.Wanted(name, f"{main.data}: {name}, {main.system}")
                for name in PUBLISHED[main.task]
                if name in main.figures
            ]
            figures = [replace(f, note=note) for f in scoreboard.published(main.task, made, main, wanted)]
            yield scoreboard.save(self.publish, f"{main.task}-{main.data}".replace(" ", "-"), figures)


def _measure(
    measured: Callable[[Runtime, Out], Any],
    files: Files,
    json: bool,
    beside: Callable[[Report, Out], None] | None = None,
    *,
    intervals: bool = False,
    note: Callable[[Report], str] = lambda made: "",
) -> None:
    """Run, tell, write the files, compare with the baseline. ``intervals``: whether ``--json`` tells them too."""
    from core.evaluation.gate import compare
    from core.evaluation.reports import gate_table, tables
    from core.evaluation.tasks import report
    from core.providers.sync import run
    from core.runtime import open_runtime

    before = files.before()
    with open_runtime() as runtime:
        out = out_of(runtime.settings, json)
        try:
            evaluations = run(measured(runtime, out))
        except KeyboardInterrupt:
            out.note(out.t("evaluate.stopped"))
            raise typer.Exit(STOPPED) from None
    made = report(f"{evaluations[0].task} · {evaluations[0].data}", evaluations, _command())
    verdict = compare(made, before) if before else None
    for table in tables(made, out.language):
        out.show(table)
    if beside:
        beside(made, out)
    if verdict:
        out.show(gate_table(verdict, out.language))
    for path in files.write(made, verdict, out.language, note(made)):
        out.note(out.t("evaluate.written", path=path))
    told: dict[str, Any] = {e.system: {name: f.value for name, f in e.figures.items()} for e in evaluations}
    if intervals:
        told["intervals"] = {e.system: {name: [f.low, f.high] for name, f in e.figures.items()} for e in evaluations}
    out.document({**told, **({"gate": verdict.as_dict()} if verdict else {})})
    if files.gate and verdict:
        raise typer.Exit(verdict.exit_code)


def _against_legs(made: Report, out: Out) -> None:
    """Whether both legs together are better than each alone."""
    from core.evaluation.gate import compare
    from core.evaluation.reports import number, signed

    by_name = {e.system: e for e in made.evaluations}
    together = by_name.get("hybrid")
    for leg in (e for name, e in by_name.items() if together and name != "hybrid"):
        one, other = (replace(made, evaluations=(e,)) for e in (together, leg) if e)
        (row,) = compare(one, other, measures=["ndcg@10"]).rows
        told = {"difference": signed(row.difference), "low": signed(row.low), "high": signed(row.high)}
        out.say(out.t("evaluate.retrieval.against", leg=leg.system, p=number(row.p), **told))


def _command() -> str:
    """The command line as the user gave it, without folders: a report may be shown to others."""

    def shown(word: str) -> str:
        option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        path = Path(value)
        return f"{option}{equals}{path.name if path.is_absolute() or path.exists() else value}"

    return shlex.join(["touchstone", *map(shown, sys.argv[1:])])


@contextmanager
def _bar(out: Out) -> Iterator[Bar]:
    """A progress bar on stderr while somebody looks; nothing in a pipe."""
    if out.json or not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(sys.stderr), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(out.t(f"evaluate.stage.{what}"), total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield show
