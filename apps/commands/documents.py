"""``touchstone index`` and ``touchstone ask``: documents in, cited answers out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from apps.commands.checkup import Json
from apps.commands.shell import STOPPED, Out, console, out_of
from apps.commands.talk import checked
from core.errors import ConfigurationError, InputError
from core.i18n import LANGUAGES, detect_language, message

if TYPE_CHECKING:
    from core.contracts import ChatModel
    from core.retrieval.judge import Judge
    from core.retrieval.library import Library
    from core.retrieval.records import Progress, Status, SyncReport
    from core.runtime import Runtime
    from core.types import Answer, Citation, Language, Sentence

Collection = Annotated[str, typer.Option("--collection", "-c", help="cli.option.collection")]
QUOTE = 160  # characters of a quote shown to people


def index(
    paths: Annotated[list[str], typer.Argument(help="cli.index.paths", metavar="PATH...")],
    collection: Collection = "default",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="cli.index.watch")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="cli.index.verify")] = False,
    columns: Annotated[
        str | None, typer.Option("--columns", help="cli.index.columns", metavar="ROLE=COLUMN,...")
    ] = None,
    metadata: Annotated[list[str] | None, typer.Option("--metadata", "-m", help="cli.index.metadata")] = None,
    json: Json = False,
) -> None:
    from core.providers.sync import iterate, run
    from core.retrieval.library import Library
    from core.retrieval.watch import watch as watching
    from core.runtime import open_runtime

    roles = mapping(columns)
    given = _metadata(metadata) if metadata is not None else None
    options: dict[str, Any] = {"metadata": given, "verify": verify, "columns": roles}
    with open_runtime() as runtime:
        out = out_of(runtime.settings, json)
        library = Library.of(runtime)
        try:
            if watch:
                out.note(out.t("index.watching"))
                for report in iterate(watching(library.collection(collection), paths, **options)):
                    tell(report, collection, out)
                return
            with progress_bar(out) as progress:
                report = run(library.collection(collection).sync(paths, progress=progress, **options))
        except KeyboardInterrupt:
            out.note(out.t("index.stopped"))
            raise typer.Exit(STOPPED) from None
        finally:
            library.close()
        tell(report, collection, out)
        if report.count("failed"):
            raise typer.Exit(1)


def tell(report: SyncReport, collection: str, out: Out) -> None:
    for row in report.files:
        if row.error is not None:
            out.note(f"{'✗' if row.status == 'failed' else '–'} {row.error.text(out.language)}")
    for code in report.notices:
        out.note(message(f"notice.{code}", out.language))
    names: tuple[Status, ...] = ("added", "updated", "unchanged", "removed", "failed", "skipped")
    counts = {name: report.count(name) for name in names}
    if not report.files:
        out.note(out.t("index.nothing"))
    seconds = f"{report.seconds:.1f}"
    out.say(out.t("index.done", collection=collection, seconds=seconds, passages=report.embedded, **counts))
    out.document({"collection": collection, **report.as_dict(out.language)})


def mapping(columns: str | None) -> dict[str, str] | None:
    """``title=headline,text=body`` as a mapping of roles to columns."""
    if columns is None:
        return None
    pairs = [part.partition("=") for part in columns.split(",")]
    if not all(role.strip() and column.strip() for role, _, column in pairs):
        raise InputError(reason="bad_value", name="--columns", value=columns, allowed="title=COLUMN,text=COLUMN")
    return {role.strip(): column.strip() for role, _, column in pairs}


def _metadata(pairs: Sequence[str]) -> dict[str, Any]:
    """``year=2025`` is a number, ``open=true`` a truth value, ``tags=[a, b]`` a list, as YAML has them."""
    import yaml

    found: dict[str, Any] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        try:
            found[name.strip()] = yaml.safe_load(value) if sign else None
        except yaml.YAMLError:
            found[name.strip()] = value
        if not sign or found[name.strip()] is None:
            raise InputError(reason="bad_value", name="--metadata", value=pair, allowed="name=value")
    return found


def ask(
    question: Annotated[str | None, typer.Argument(help="cli.ask.question", metavar="QUESTION")] = None,
    collection: Collection = "default",
    language: Annotated[str | None, typer.Option("--language", "-l", help="cli.ask.language")] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="cli.option.model")] = None,
    filter: Annotated[list[str] | None, typer.Option("--filter", "-f", help="cli.search.filter")] = None,
    json: Json = False,
) -> None:
    from core.retrieval.answer import QUESTION_LIMIT
    from core.retrieval.filters import from_text
    from core.retrieval.library import Library
    from core.runtime import open_runtime

    if language is not None and language not in LANGUAGES:
        raise InputError(reason="bad_value", name="--language", value=language, allowed=", ".join(LANGUAGES))
    if question is None:
        if sys.stdin.isatty():
            raise InputError(reason="empty_question")
        question = sys.stdin.read()
    with open_runtime() as runtime:
        out = out_of(runtime.settings, json)
        asked = checked(question, QUESTION_LIMIT)
        library = Library.of(runtime)
        try:
            demand_documents(library, collection)
            where = from_text(filter) if filter else None
            chat, judge = writer(runtime, model, out), runtime.claim_judge()
            answer = Reading(library, out, judge).read(asked, collection, chat, language, where=where)
        finally:
            library.close()
        out.document(asdict(answer))


def demand_documents(library: Library, collection: str) -> None:
    """Say what to do when there is nothing to answer from."""
    there = library.filled()
    if collection not in there:
        raise InputError(reason="nothing_indexed", collection=collection, allowed=", ".join(there) or "–")


def writer(runtime: Runtime, model: str | None, out: Out) -> ChatModel | None:
    """The model that writes the answer. The one that was asked for must open; without a default one sources are quoted."""
    if model is not None:
        return runtime.chat(model)
    try:
        return runtime.chat()
    except ConfigurationError as error:
        out.note(f"{error.text(out.language)} {out.t('ask.quoting')}")
        return None


class Reading:
    """One answer as it comes."""

    def __init__(self, library: Library, out: Out, judge: Judge | None = None) -> None:
        self.library = library
        self.out = out
        self.judge = judge

    def read(
        self, question: str, collection: str, chat: ChatModel | None, language: str | None, *, where: Any = None
    ) -> Answer:
        from core.providers.sync import iterate
        from core.retrieval.answer import AnswerDone, Notice, SentenceReady
        from core.telemetry.trace import trace
        from core.types import Queued, Switched

        chosen: Any = language
        written = False
        with trace():
            asked = self.library.ask(
                question, collection=collection, chat=chat, judge=self.judge, language=chosen, where=where
            )
            events = iterate(asked)
        try:
            for event in events:
                if isinstance(event, SentenceReady):
                    self.out.piece(marked(event.sentence))
                    written = True
                elif isinstance(event, Notice):
                    self.out.note(message(f"notice.{event.code}", self.out.language, **event.params))
                elif isinstance(event, Queued) and event.position:
                    self.out.note(self.out.t("chat.queued", position=event.position))
                elif isinstance(event, Switched):
                    self.out.note(self.out.t("chat.switched", model=event.model, reason=event.reason))
                elif isinstance(event, AnswerDone):
                    self.out.piece("\n" if written else f"{event.answer.text}\n")
                    self.sources(event.answer)
                    return event.answer
        except KeyboardInterrupt:
            self.out.piece("\n")
            self.out.note(self.out.t("chat.stopped"))
            raise typer.Exit(STOPPED) from None
        finally:
            events.close()
        raise AssertionError("an answer's stream ends in AnswerDone")

    def sources(self, answer: Answer) -> None:
        if answer.citations:
            self.out.say()
            self.out.say(self.out.t("ask.sources" if answer.mode != "refused" else "ask.related"))
        for citation in answer.citations:
            self.out.say(source_line(citation))


def marked(sentence: Sentence) -> str:
    """The sentence with its ``[n]`` marks, and the space that English puts after it."""
    marks = "".join(f"[{number}]" for number in sentence.citations)
    language: Language = "zh" if detect_language(sentence.text) == "zh" else "en"
    return f"{sentence.text.rstrip()}{marks}" if language == "zh" else f"{sentence.text.rstrip()} {marks} "


def source_line(citation: Citation) -> str:
    quote = " ".join(citation.quote.split())
    quote = quote if len(quote) <= QUOTE else quote[:QUOTE].rstrip() + "…"
    return f"[{citation.number}] {citation.title} — {citation.source} — “{quote}”"


@contextmanager
def progress_bar(out: Out) -> Iterator[Callable[[Progress], None] | None]:
    """A bar on stderr while somebody looks; nothing in a pipe."""
    if out.json or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(sys.stderr), transient=True) as bar:
        tasks = {}

        def show(step: Any) -> None:
            if step.stage not in tasks:
                tasks[step.stage] = bar.add_task(out.t(f"index.stage.{step.stage}"), total=step.total)
            bar.update(tasks[step.stage], completed=step.done, total=step.total)

        yield show
