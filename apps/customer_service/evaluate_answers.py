"""Answers beside retrieval alone and a plain LangChain chain on the same models, on a third-unanswerable question set.

    python -m apps.customer_service.evaluate_answers --data FOLDER [--without-chain] [--kept FILE] [--publish FOLDER]

``FOLDER`` holds ``guidelines.json`` of ABCD (https://github.com/asappresearch/abcd), the guidelines of a retailer's
support desk; the questions about it, ``sample/guidelines.jsonl``, are ours: 32 that it answers, 22 on its topics that
it does not, 22 of another world, half of them Chinese while every guideline is English. No weight or threshold was chosen on them; their first run showed
that questions and single letters were quoted as answers, which was mended.

touchstone   quotes that the answerer gives with the default threshold
retrieval    the first passage that is found, always
langchain    chunks of 1,000 characters in LangChain's vector store, the four nearest to SmolLM2 with the prompt of
             LangChain's own tutorial; its sources are those four (https://python.langchain.com/docs/tutorials/rag/)

An answer is right when it holds the expected words. Citation precision is the share of cited passages that stand in a
document that answers the question; what is cited for a question without an answer is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from apps.customer_service.evaluate import SAMPLE, Case, cases, library_answer
from core.errors import InputError, MissingFile
from core.evaluation import results, scoreboard
from core.evaluation.datasets import Record, checksum
from core.evaluation.results import Cell, Evaluation, Measure
from core.evaluation.tasks import report
from core.retrieval.answerer import Answerer
from core.retrieval.index import Index
from core.retrieval.library import Library
from core.runtime import Runtime
from core.settings import load_settings, override

QUESTIONS = SAMPLE / "guidelines.jsonl"
TITLE = "guidelines of a retailer"
CHUNK, OVERLAP, NEAREST, ANSWER_TOKENS = 1_000, 200, 4, 96
PROMPT = (
    "You are an assistant for question-answering tasks. Use the following pieces of retrieved context to answer the"
    " question. If you don't know the answer, just say that you don't know. Use three sentences maximum and keep the"
    " answer concise.\nQuestion: {question}\nContext: {context}\nAnswer:"
)
_DECLINES = re.compile(
    r"(?:do not|don['’]t|doesn['’]t|does not) (?:know|have|provide|mention)|not (?:provided|mentioned)|不知道|无法"
)
MEASURES = (
    Measure("right"),
    Measure("citation_precision"),
    Measure("false_refusals", higher_is_better=False),
    Measure("refused_near"),
    Measure("refused_far"),
    Measure("risk_at_50%", ("confidence", "loss"), "risk_at_coverage@0.5", higher_is_better=False),
    Measure("aurc", ("confidence", "loss"), "aurc", higher_is_better=False),
)
SHOWN = {
    "right": "the answer holds the expected words",
    "citation_precision": "citations that answer the question",
    "false_refusals": "answerable questions that are refused",
    "refused_near": "near misses that are refused",
    "refused_far": "questions of another world that are refused",
    "risk_at_50%": "wrong or unanswerable among the surest half",
    "aurc": "area under risk and coverage",
}


@dataclass(frozen=True, slots=True)
class Said:
    """What a system said of a question. ``sources`` are the documents it cites, one for each citation."""

    text: str
    sources: tuple[str, ...]
    refused: bool
    confidence: float


def documents(data: Path) -> dict[str, str]:
    """The guidelines as Markdown, by ``flow/subflow.md``.

    Raises:
        MissingFile: there is no ``guidelines.json``.
        InputError: it is not of ABCD's form.
    """
    path = data / "guidelines.json"
    if not path.is_file():
        raise MissingFile(path=str(path), needed_for="evaluation")
    try:
        flows = json.loads(path.read_text("utf-8"))
        return {
            f"{flow}/{subflow}.md": _markdown(flow, subflow, told)
            for flow, about in flows.items()
            for subflow, told in about["subflows"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(reason="data_row", where=path.name, detail=str(error)) from error


def _markdown(flow: str, subflow: str, told: Mapping[str, Any]) -> str:
    lines = [f"# {flow}: {subflow}", *told["instructions"]]
    for action in told["actions"]:
        lines.append(f"## {action['button']}\n{action['text']}")
        lines.append("\n".join(f"- {text}" for text in action["subtext"]))
    return "\n\n".join(line for line in lines if line) + "\n"


async def touchstone(index: Index, asked: Sequence[Case]) -> list[Said]:
    found = []
    for case in asked:
        answer = await library_answer(Answerer(index), case.question)
        text = "\n".join([answer.text, *(c.quote for c in answer.citations)])
        sources = tuple(_name(c.source) for c in answer.citations)
        found.append(Said(text, sources, answer.mode == "refused", answer.confidence or 0.0))
    return found


async def retrieval(index: Index, asked: Sequence[Case]) -> list[Said]:
    found = []
    for case in asked:
        hits = (await index.find(case.question, 1)).hits
        best = hits[0] if hits else None
        found.append(
            Said(best.passage.text, (_name(best.passage.source),), False, best.score)
            if best
            else Said("", (), True, 0.0)
        )
    return found


async def langchain(
    runtime: Runtime,
    texts: Mapping[str, str],
    asked: Sequence[Case],
    *,
    chat: str = "embedded:smollm2",
    kept: Path | None = None,
) -> list[Said]:
    """The chain of LangChain's tutorial, our embedded models behind its interfaces.

    Args:
        kept: where each answer is kept as it comes, so that a run that is stopped goes on after it; a small model
            reads a question's four passages for some seconds.
    """
    from langchain_core.documents import Document
    from langchain_core.output_parsers import StrOutputParser
    from langchain_core.prompts import PromptTemplate
    from langchain_core.vectorstores import InMemoryVectorStore
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    from core.providers.langchain_bridge import ChatTouchstone, TouchstoneEmbeddings

    embedding = runtime.embedding()
    store = InMemoryVectorStore(TouchstoneEmbeddings(embedding.name, embedding=embedding))
    splitter = RecursiveCharacterTextSplitter(chunk_size=CHUNK, chunk_overlap=OVERLAP)
    whole = [Document(page_content=text, metadata={"source": name}) for name, text in texts.items()]
    await store.aadd_documents(splitter.split_documents(whole))
    model = ChatTouchstone(model=chat, chat=runtime.chat(chat), temperature=0.0, max_tokens=ANSWER_TOKENS)
    chain = PromptTemplate.from_template(PROMPT) | model | StrOutputParser()
    state = checksum([Record(name, text) for name, text in (*sorted(texts.items()), (chat, PROMPT))])
    known, found = _kept(kept, state), []
    for case in asked:
        if case.question in known:
            found.append(known[case.question])
            continue
        near = await store.asimilarity_search_with_score(case.question, k=NEAREST)
        context = "\n\n".join(document.page_content for document, _ in near)
        text = await chain.ainvoke({"question": case.question, "context": context})
        declines = bool(_DECLINES.search(text))
        sources = () if declines else tuple(document.metadata["source"] for document, _ in near)
        found.append(Said(text, sources, declines, 0.0 if declines else float(near[0][1])))
        if kept:
            with kept.open("a", encoding="utf-8") as file:
                line = {"state": state, "question": case.question, **asdict(found[-1])}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return found


def _kept(path: Path | None, state: str) -> dict[str, Said]:
    """What the chain said before, by question, of the same documents, prompt and model (``state``)."""
    if path is None or not path.is_file():
        return {}
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return {
        row["question"]: Said(row["text"], tuple(row["sources"]), row["refused"], row["confidence"])
        for row in rows
        if row["state"] == state
    }


def evaluation(system: str, asked: Sequence[Case], said: Sequence[Said]) -> Evaluation:
    """The figures of one system. Risk is over all questions by confidence, whether or not the system declined."""
    columns: dict[str, list[Cell]] = {name: [] for m in MEASURES for name in m.columns or (m.name,)}
    for case, one in zip(asked, said, strict=True):
        held = case.answerable and all(words.casefold() in one.text.casefold() for words in case.expect)
        cells: dict[str, Cell] = dict.fromkeys(columns)
        cells |= {"confidence": one.confidence, "loss": float(not held)}
        if case.answerable:
            cells |= {"right": float(held and not one.refused), "false_refusals": float(one.refused)}
        else:
            cells[f"refused_{case.kind}"] = float(one.refused)
        if one.sources and not one.refused:
            cells["citation_precision"] = sum(s in case.documents for s in one.sources) / len(one.sources)
        for name, cell in cells.items():
            columns[name].append(cell)
    records = [Record(c.id, c.question, answers=c.expect) for c in asked]
    return Evaluation(
        task="customer service", system=system, data=TITLE, split="test", checksum=checksum(records),
        ids=tuple(c.id for c in asked), columns=columns, measures=MEASURES, figures=results.figures(MEASURES, columns),
    )  # fmt: skip


def measured(
    data: Path, home: Path, *, chain: bool = True, asked: Sequence[Case] | None = None, kept: Path | None = None
) -> dict[str, list[Said]]:
    """What each system says, in the workspace ``home``; ours last. ``kept``: see :func:`langchain`."""
    asked, texts = cases(QUESTIONS) if asked is None else asked, documents(data)
    files = home / "guidelines"
    for name, text in texts.items():
        (files / name).parent.mkdir(parents=True, exist_ok=True)
        (files / name).write_text(text, "utf-8")
    with Runtime(override(load_settings(), home=str(home))) as runtime:
        library = Library.of(runtime)
        try:
            return asyncio.run(_all(runtime, library, files, texts, asked, chain, kept))
        finally:
            library.close()


async def _all(
    runtime: Runtime,
    library: Library,
    files: Path,
    texts: Mapping[str, str],
    asked: Sequence[Case],
    chain: bool,
    kept: Path | None,
) -> dict[str, list[Said]]:
    index = library.collection("guidelines")
    await index.sync([files])
    await index.embed_pending()
    found = {"retrieval": await retrieval(index, asked)}
    if chain:
        found["langchain"] = await langchain(runtime, texts, asked, kept=kept)
    found["touchstone"] = await touchstone(index, asked)
    return found


def _name(source: str) -> str:
    return "/".join(Path(source).parts[-2:])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with guidelines.json")
    parser.add_argument("--without-chain", action="store_true", help="leave LangChain's chain out, which takes minutes")
    parser.add_argument("--kept", type=Path, metavar="FILE", help="go on with the chain's answers that are kept here")
    parser.add_argument("--publish", type=Path, metavar="FOLDER", help="write the figures for docs/scoreboard.md")
    parser.add_argument("--misses", action="store_true", help="also list what touchstone got wrong")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    asked = cases(QUESTIONS)
    with tempfile.TemporaryDirectory() as folder:
        said = measured(given.data, Path(folder), chain=not given.without_chain, asked=asked, kept=given.kept)
    made = [evaluation(system, asked, found) for system, found in said.items()]
    command = f"python -m apps.customer_service.evaluate_answers --data {given.data.name}"
    told = report(TITLE, made, command)
    if given.publish:
        wanted = [
            scoreboard.Wanted(
                name,
                f"{TITLE}: {words}",
                {e.system: e.figures[name].value for e in made[:-1] if name in e.figures},
            )
            for name, words in SHOWN.items()
        ]
        figures = scoreboard.published(made[-1].task, told, made[-1], wanted)
        sys.stdout.write(f"{scoreboard.save(given.publish, 'customer-service-guidelines-test', figures)}\n")
    if given.json:
        sys.stdout.write(
            json.dumps({e.system: {n: f.value for n, f in e.figures.items()} for e in made}, indent=2) + "\n"
        )
        return 0
    for name in (m.name for m in MEASURES):
        cells = (f"{e.system} {e.figures[name].value:.3f}" for e in made if name in e.figures)
        sys.stdout.write(f"{name:20}{'  '.join(cells)}\n")
    if given.misses:
        for case, one in zip(asked, said["touchstone"], strict=True):
            held = all(words.casefold() in one.text.casefold() for words in case.expect)
            if one.refused == case.answerable or (case.answerable and not held):
                sys.stdout.write(
                    f"\n{case.id} [{case.kind}] {case.question}\n  {one.confidence:.3f} {one.sources}\n  {one.text}\n"
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
