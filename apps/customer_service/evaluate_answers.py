"""Answers beside retrieval alone and a plain LangChain chain on the same models, on third-unanswerable question sets.

    python -m apps.customer_service.evaluate_answers [--split test] [--without-chain] [--kept FILE] [--publish FOLDER]
    python -m apps.customer_service.evaluate_answers --data FOLDER

Without ``--data`` the sample shop's questions are asked, which :mod:`apps.customer_service.evaluate` describes.
``FOLDER`` holds ``guidelines.json`` of ABCD (https://github.com/asappresearch/abcd), the guidelines of a retailer's
support desk; the questions about it, ``sample/guidelines.jsonl``, are ours: 32 that it answers, 22 on its topics that
it does not, 22 of another world, half of them Chinese while every guideline is English. No weight or threshold was chosen on them; their first run showed
that questions and single letters were quoted as answers, which was mended.

touchstone   quotes that the answerer gives with the default threshold
retrieval    the first passage that is found, always
sentence     of that passage the sentence that shares most with the question, always
langchain    chunks of 1,000 characters in LangChain's vector store, the four nearest, or as many of them as its context
             holds, to SmolLM2 with the prompt of LangChain's own tutorial; its sources are those
             (https://python.langchain.com/docs/tutorials/rag/)

An answer is right when it holds the expected words. Citation precision is the share of what is cited that stands in a
document that answers the question; ``cited_holds`` asks more of it: to hold expected words, too, which a whole passage
does more easily than a sentence. What is cited for a question without an answer is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from apps.customer_service.evaluate import SAMPLE, Case, cases, indexed, library_answer
from core.errors import ContextTooLong, InputError, MissingFile
from core.evaluation import results, scoreboard
from core.evaluation.datasets import Record, checksum
from core.evaluation.results import Cell, Evaluation, Measure
from core.evaluation.tasks import report
from core.retrieval import load
from core.retrieval.answerer import Answerer
from core.retrieval.index import Index
from core.retrieval.library import Library
from core.retrieval.options import SearchOptions
from core.runtime import Runtime
from core.settings import load_settings, override

QUESTIONS = SAMPLE / "guidelines.jsonl"
GUIDELINES, SHOP = "guidelines of a retailer", "sample shop"
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
    Measure("cited_holds"),
    Measure("false_refusals", higher_is_better=False),
    Measure("refused_near"),
    Measure("refused_far"),
    *(
        Measure(f"risk_at_{share}%", ("confidence", "loss"), f"risk_at_coverage@{share / 100}", higher_is_better=False)
        for share in (25, 50, 75)
    ),
    Measure("aurc", ("confidence", "loss"), "aurc", higher_is_better=False),
)
SHOWN = {
    "right": "the answer holds the expected words",
    "citation_precision": "citations that answer the question",
    "cited_holds": "citations that hold what was asked for",
    "false_refusals": "answerable questions that are refused",
    "refused_near": "near misses that are refused",
    "refused_far": "questions of another world that are refused",
    "risk_at_25%": "wrong or unanswerable among the surest quarter",
    "risk_at_50%": "wrong or unanswerable among the surest half",
    "risk_at_75%": "wrong or unanswerable among the surest three quarters",
    "aurc": "area under risk and coverage",
}


Indexing = Callable[[Library], Coroutine[Any, Any, Index]]  # makes the collection that is asked


@dataclass(frozen=True, slots=True)
class Said:
    """What a system said of a question; ``sources`` and ``quotes`` are the documents and words of each citation.

    ``confidence`` is ``None`` where nothing was weighed, as of an introduction: such an answer has no place in an order by it.
    """

    text: str
    sources: tuple[str, ...]
    refused: bool
    confidence: float | None
    quotes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """Questions and the documents they are about, by ``folder/name``."""

    title: str
    split: str
    cases: Sequence[Case]
    texts: Mapping[str, str]

    @property
    def checksum(self) -> str:
        return checksum([Record(c.id, c.question, answers=c.expect) for c in self.cases])


def guidelines(data: Path) -> Asked:
    """Our questions about ABCD's guidelines in ``data``; raises as :func:`documents`."""
    return Asked(GUIDELINES, "test", cases(QUESTIONS), documents(data))


def shop(split: str = "test") -> Asked:
    """Those of the sample shop; its documents as plain text, which is what a chain is given of them."""
    paths = [path for language in ("zh", "en") for path in sorted((SAMPLE / language).iterdir())]
    texts = {_name(str(path)): load.load(path.read_bytes(), source=path.name).text for path in paths}
    return Asked(SHOP, split, [case for case in cases() if case.split == split], texts)


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
        quotes = tuple(c.quote for c in answer.citations)
        sources = tuple(_name(c.source) for c in answer.citations)
        text = "\n".join([answer.text, *quotes])
        found.append(Said(text, sources, answer.mode == "refused", answer.confidence, quotes))
    return found


async def retrieval(index: Index, asked: Sequence[Case], *, sentence: bool = False) -> list[Said]:
    """The first passage, or of it only the sentence that shares most with the question."""
    found = []
    for case in asked:
        hits = (await index.find(case.question, options=SearchOptions(1, sentences=sentence))).hits
        if not hits:
            found.append(Said("", (), True, 0.0))
            continue
        passage, span = hits[0].passage, hits[0].sentence
        text = passage.text[span[0] - passage.start : span[1] - passage.start] if span else passage.text
        near = hits[0].vector_score or 0.0  # the score compares what one question finds: the first has always 1
        found.append(Said(text, (_name(passage.source),), False, near, (text,)))
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
        kept: where each answer is kept as it comes, so that a run that is stopped goes on after it, and one that
            measures a change of ours need not ask the chain again; a small model reads a question's four passages
            for some seconds.
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
    room = model.chat.capabilities.context_tokens
    told = f"{(CHUNK, OVERLAP, NEAREST, ANSWER_TOKENS, room, embedding.name, _DECLINES.pattern)}"
    state = checksum([Record(name, text) for name, text in (*sorted(texts.items()), (chat, PROMPT), ("told", told))])
    known, found = _kept(kept, state), []
    for case in asked:
        if case.question in known:
            found.append(known[case.question])
            continue
        near = await store.asimilarity_search_with_score(case.question, k=NEAREST)
        while True:
            context = "\n\n".join(document.page_content for document, _ in near)
            try:
                text = await chain.ainvoke({"question": case.question, "context": context})
                break
            except ContextTooLong:  # Chinese takes more tokens: the farthest is left out, until the rest fits
                if len(near) == 1:
                    raise
                near = near[:-1]
        declines = bool(_DECLINES.search(text))
        sources = () if declines else tuple(document.metadata["source"] for document, _ in near)
        quotes = () if declines else tuple(document.page_content for document, _ in near)
        found.append(Said(text, sources, declines, 0.0 if declines else float(near[0][1]), quotes))
        if kept:
            with kept.open("a", encoding="utf-8") as file:
                line = {"state": state, "question": case.question, **asdict(found[-1])}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return found


def _kept(path: Path | None, state: str) -> dict[str, Said]:
    """What the chain said before, by question, of what decides it (``state``): documents, how they are cut and how many
    of them are given, the room of the model, the prompt."""
    if path is None or not path.is_file():
        return {}
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return {
        row["question"]: Said(
            row["text"], tuple(row["sources"]), row["refused"], row["confidence"], tuple(row["quotes"])
        )
        for row in rows
        if row["state"] == state
    }


def evaluation(system: str, asked: Asked, said: Sequence[Said]) -> Evaluation:
    """The figures of one system. Risk is over all questions with a confidence, whether or not the system declined."""
    columns: dict[str, list[Cell]] = {name: [] for m in MEASURES for name in m.columns or (m.name,)}
    for case, one in zip(asked.cases, said, strict=True):
        held = case.answerable and all(_holds(one.text, words) for words in case.expect)
        cells: dict[str, Cell] = dict.fromkeys(columns)
        cells |= {"confidence": one.confidence, "loss": float(not held)}
        if case.answerable:
            cells |= {"right": float(held and not one.refused), "false_refusals": float(one.refused)}
        else:
            cells[f"refused_{case.kind}"] = float(one.refused)
        if one.sources and not one.refused:
            right = [source in case.documents for source in one.sources]
            holds = [any(_holds(quote, words) for words in case.expect) for quote in one.quotes]
            cells["citation_precision"] = sum(right) / len(right)
            cells["cited_holds"] = sum(r and h for r, h in zip(right, holds, strict=True)) / len(right)
        for name, cell in cells.items():
            columns[name].append(cell)
    return Evaluation(
        task="customer service", system=system, data=asked.title, split=asked.split, checksum=asked.checksum,
        ids=tuple(c.id for c in asked.cases), columns=columns, measures=MEASURES,
        figures=results.figures(MEASURES, columns),
    )  # fmt: skip


def _holds(text: str, words: str) -> bool:
    return words.casefold() in text.casefold()


def measured(
    asked: Asked, indexing: Indexing, home: Path, *, chain: bool = True, kept: Path | None = None
) -> dict[str, list[Said]]:
    """What each system says, in the workspace ``home``; ours last. ``kept``: see :func:`langchain`."""
    with Runtime(override(load_settings(), home=str(home))) as runtime:
        library = Library.of(runtime)
        try:
            return asyncio.run(_all(runtime, library, asked, indexing, chain, kept))
        finally:
            library.close()


async def _all(
    runtime: Runtime, library: Library, asked: Asked, indexing: Indexing, chain: bool, kept: Path | None
) -> dict[str, list[Said]]:
    index = await indexing(library)
    found = {
        "retrieval": await retrieval(index, asked.cases),
        "sentence": await retrieval(index, asked.cases, sentence=True),
    }
    if chain:
        found["langchain"] = await langchain(runtime, asked.texts, asked.cases, kept=kept)
    found["touchstone"] = await touchstone(index, asked.cases)
    return found


async def written(texts: Mapping[str, str], files: Path, library: Library) -> Index:
    """``texts`` as files below ``files``, by name, and the collection of these."""
    for name, text in texts.items():
        (files / name).parent.mkdir(parents=True, exist_ok=True)
        (files / name).write_text(text, "utf-8")
    index = library.collection("asked")
    await index.sync([files])
    await index.embed_pending()
    return index


def _name(source: str) -> str:
    return "/".join(Path(source).parts[-2:])


def publish(asked: Asked, made: Sequence[Evaluation], folder: Path, data: Path | None) -> Path:
    """Write the figures for the scoreboard: the last system's, beside the others'."""
    where, name = (f"--data {data.name}", "guidelines") if data else (f"--split {asked.split}", "sample-answers")
    if "langchain" not in {e.system for e in made}:
        where += " --without-chain"
    told = report(asked.title, made, f"python -m apps.customer_service.evaluate_answers {where}")
    wanted = [
        scoreboard.Wanted(
            measure,
            f"{asked.title}: {words}",
            {e.system: e.figures[measure].value for e in made[:-1] if measure in e.figures},
        )
        for measure, words in SHOWN.items()
    ]
    figures = scoreboard.published(made[-1].task, told, made[-1], wanted)
    return scoreboard.save(folder, f"customer-service-{name}-{asked.split}", figures)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder with guidelines.json; without it the sample shop")
    parser.add_argument("--split", choices=("test", "tune"), default="test", help="of the sample shop")
    parser.add_argument("--without-chain", action="store_true", help="leave LangChain's chain out, which takes minutes")
    parser.add_argument("--kept", type=Path, metavar="FILE", help="go on with the chain's answers that are kept here")
    parser.add_argument("--publish", type=Path, metavar="FOLDER", help="write the figures for docs/scoreboard.md")
    parser.add_argument("--misses", action="store_true", help="also list what touchstone got wrong")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    asked = guidelines(given.data) if given.data else shop(given.split)
    with tempfile.TemporaryDirectory() as folder:
        indexing = partial(written, asked.texts, Path(folder) / "documents") if given.data else indexed
        said = measured(asked, indexing, Path(folder), chain=not given.without_chain, kept=given.kept)
    made = [evaluation(system, asked, found) for system, found in said.items()]
    if given.publish:
        sys.stdout.write(f"{publish(asked, made, given.publish, given.data)}\n")
    if given.json:
        sys.stdout.write(
            json.dumps({e.system: {n: f.value for n, f in e.figures.items()} for e in made}, indent=2) + "\n"
        )
        return 0
    for name in (m.name for m in MEASURES):
        cells = (f"{e.system} {e.figures[name].value:.3f}" for e in made if name in e.figures)
        sys.stdout.write(f"{name:20}{'  '.join(cells)}\n")
    if given.misses:
        for case, one in zip(asked.cases, said["touchstone"], strict=True):
            held = all(_holds(one.text, words) for words in case.expect)
            if one.refused == case.answerable or (case.answerable and not held):
                sure = "–" if one.confidence is None else f"{one.confidence:.3f}"
                sys.stdout.write(f"\n{case.id} [{case.kind}] {case.question}\n  {sure} {one.sources}\n  {one.text}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
