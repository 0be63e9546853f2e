"""``touchstone calibrate``: from which confidence on a collection's questions are answered, and how often that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from apps.commands.checkup import Json
from apps.commands.documents import Collection, demand_documents
from apps.commands.shell import out_of
from core.errors import InputError, MissingFile

if TYPE_CHECKING:
    from core.retrieval.calibration import Calibration, Question


def calibrate(
    collection: Collection = "default",
    questions: Annotated[Path | None, typer.Option("--questions", "-q", help="cli.calibrate.questions")] = None,
    false_refusals: Annotated[float, typer.Option("--false-refusals", help="cli.calibrate.false_refusals")] = 0.1,
    show: Annotated[bool, typer.Option("--show", help="cli.calibrate.show")] = False,
    forget: Annotated[bool, typer.Option("--forget", help="cli.calibrate.forget")] = False,
    json: Json = False,
) -> None:
    from core.providers.sync import run
    from core.retrieval import calibration
    from core.retrieval.library import Library
    from core.runtime import open_runtime

    if not 0 < false_refusals < 1:
        raise InputError(reason="bad_value", name="--false-refusals", value=str(false_refusals), allowed="0-1")
    asked = read_questions(questions) if questions else []
    with open_runtime() as runtime:
        out = out_of(runtime.settings, json)
        library = Library.of(runtime)
        try:
            demand_documents(library, collection)
            index = library.collection(collection)
            if forget:
                gone = calibration.forget(index)
                out.say(out.t("calibrate.forgotten" if gone else "calibrate.none"))
                out.document({"collection": collection, "forgotten": gone})
                return
            made = calibration.stored(index)
            if not show:
                made = run(calibration.calibrate(index, asked, false_refusals=false_refusals))
            stale = made is not None and made.generation != index.info().generation
        finally:
            library.close()
        if made is None:
            out.say(out.t("calibrate.none"))
        else:
            out.say(out.t("calibrate.done", **told_of(made)))
            if stale:
                out.say(out.t("calibrate.stale"))
        out.document({"collection": collection, "calibration": made.as_dict() if made else None, "stale": stale})


def told_of(made: Calibration) -> dict[str, Any]:
    """The figures of a calibration as people read them."""
    shares = {name: f"{getattr(made, name):.1%}" for name in ("false_refusals", "false_answers", "wrong_answers")}
    return {"questions": made.questions, "threshold": f"{made.threshold:.3f}", **shares}


def read_questions(path: Path) -> list[Question]:
    """A SQuAD file, or JSON lines with ``question`` and ``answers``."""
    from core.evaluation.loaders import Columns, load_jsonl, load_squad
    from core.retrieval.calibration import Question

    if not path.is_file():
        raise MissingFile(path=str(path), needed_for="--questions")
    data = load_squad(path) if path.suffix == ".json" else load_jsonl(path, Columns("question", answers="answers"))
    found = [Question(record.input, record.answers) for record in data.records if record.answers]
    if not found:
        raise InputError(reason="data_no_answers", name=data.name)
    return found
