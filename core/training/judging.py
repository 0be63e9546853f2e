"""What a trained model is worth on rows it has not seen, beside a cheap baseline.

kind             figures                                                          baseline
classification   accuracy, F1, calibration error, AURC, accuracy with typos,      TF-IDF and a linear SVM
                 the same label for other names, genders, regions, words
pairs            nDCG, MRR, recall: the partner among all partners;               the base model
                 a cross-encoder orders the partner among its negatives          the reranker of words
conversations    perplexity of the reference, overlap with it, expected words     the base model
preferences      the chosen answer is the likelier one, by how much;         the base model
                 of single thumbs: liked answers likely, others not
entities         precision, recall, F1 of whole pieces                       pieces seen in the training rows
text             bits per byte; masked: perplexity and hits on hidden tokens      n-grams of bytes, or the base;
                                                                                 masked: the tokens' frequencies
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from core.contracts import ChatModel, EmbeddingModel
from core.errors import InputError
from core.evaluation import spans
from core.evaluation.datasets import Dataset, Document, Record
from core.evaluation.judges import label_task, retrieval_task
from core.evaluation.results import Cell, Evaluation, Measure
from core.evaluation.tasks import Task, judged
from core.i18n import detect_language
from core.settings import Settings
from core.training import entities, preferences, reranking
from core.training.classifiers import Classifier, open_classifier
from core.training.store import Version
from core.training.swaps import KINDS, swapped
from core.training.typos import with_typos
from core.types import Example

RANKED = ("ndcg@10", "mrr@10", "recall@10")
DOCUMENTS = 2_000  # partners of other parts that stand beside those of the test part
GENERATED = 100  # answers written for a judgment; each costs seconds on a CPU
ANSWER_TOKENS = 64
MASKED = "masked text"
SAME = {
    kind: f"same_other_{kind}" for kind in KINDS
}  # measures: the label stays when a name, gender or region is another, or the same is said in other words
SWAPPED = 100  # rows on which that is looked at


def task_of(version: Version) -> Task:
    """The task on which ``version`` is judged: its own test part."""
    splits = version.splits()
    if version.run.kind == "classification":
        return _labels(splits.test)
    if version.run.kind == "pairs":
        others = [r.answers[0] for part in (splits.train, splits.validation) for r in part.records]
        if version.reranks:
            return reranking.task(splits.test, others)
        return retrieval_task(_search(splits.test, others), RANKED)
    if version.run.kind == "preferences":
        return preferences.task(splits.test)
    if version.run.kind == "entities":
        return entities.task(splits.test)
    if version.run.kind == "text":
        return _text(splits.test, masked=version.run.recipe == "masked")
    return _talks(replace(splits.test, records=splits.test.records[:GENERATED], checksum=""))


async def judge(version: Version, task: Task, settings: Settings, *, name: str = "") -> Evaluation:
    """``version`` on ``task``, which may be that of another version of the same role."""
    run = version.run
    config = {"recipe": run.recipe, "base": version.origin, **run.settings, "seed": run.seed, "checksum": run.checksum}  # fmt: skip
    outputs = await _outputs(version, task, settings)
    return judged(task, outputs, name=name or version.served_as, config=config)


async def baseline(version: Version, task: Task, settings: Settings) -> Evaluation:
    """The cheap system that the version has to beat, on the same rows."""
    records = task.data.records
    if version.run.kind == "classification":
        from core.training.baseline import fit_tfidf_svm

        learned = [Example(r.input, str(r.label)) for r in version.splits().train.records]
        svm = fit_tfidf_svm(learned, seed=version.run.seed)
        plain = [label for label, _ in svm.predict([r.input for r in records])]
        typed = [label for label, _ in svm.predict([with_typos(r.input) for r in records])]
        found = {r.id: {"label": label, "typos": t} for r, label, t in zip(records, plain, typed, strict=True)}
        return judged(task, found, name="tfidf+svm", config={"seed": version.run.seed})
    if version.run.kind == "text" and not version.run.base:
        return _counted(version, task, settings)
    if version.run.kind == "entities":
        seen = entities.SeenBefore(version.splits().train.records)
        listed = {record.id: entities.output(seen.extract(record.input)) for record in records}
        return judged(task, listed, name="seen before", config={})
    outputs = await _outputs(version, task, settings, base=True)
    if version.reranks:
        return judged(task, outputs, name=reranking.PLAIN, config={"model": reranking.PLAIN})
    return judged(task, outputs, name=f"base {version.origin}", config={"base": version.origin})


async def _outputs(version: Version, task: Task, settings: Settings, *, base: bool = False) -> dict[str, Any]:
    from core.training import serving

    if version.run.kind == "classification":
        return await _classified(version, task.data.records, settings)
    if version.reranks:
        return await _reranked(version, task, settings, base=base)
    if version.run.kind == "pairs":
        if task.name == reranking.TASK:
            raise InputError(reason="wrong_kind", name=version.served_as, kind=version.run.recipe, wanted=task.name)
        embedding = serving.embedding_of(version, settings, base=base)
        try:
            return await _ranked(task.data, embedding)
        finally:
            await embedding.aclose()
    if task.name == preferences.TASK:
        model, tokenizer = serving.weights_of(version, settings, base=base)
        most = int(version.run.settings["max_tokens"])
        return preferences.likelihoods(model, tokenizer, task.data.records, most=most)
    if version.run.kind == "entities":
        return await _extracted(version, task.data.records, settings)
    if version.run.kind == "text":
        return _foreseen(version, task, settings, base=base)
    losses = serving.losses_of(version, task.data.records, settings, base=base)
    chat = serving.chat_of(version, settings, base=base)
    try:
        return await _answered(task.data.records, chat, losses)
    finally:
        await chat.aclose()


# --- classification -------------------------------------------------------------------------------


def _labels(data: Dataset) -> Task:
    plain = label_task(data)

    def judge(records: Sequence[Record], outputs: Sequence[Any]) -> Mapping[str, Sequence[Cell]]:
        typed = [float((output or {}).get("typos") == r.label) for r, output in zip(records, outputs, strict=True)]
        same = {
            name: [((output or {}).get("same") or {}).get(kind) for output in outputs] for kind, name in SAME.items()
        }
        return {**plain.judge(records, outputs), "accuracy_typos": typed, **same}

    more = (Measure("accuracy_typos", gated=False), *(Measure(name, gated=False) for name in SAME.values()))
    return replace(plain, judge=judge, measures=(*plain.measures, *more))


async def _classified(version: Version, records: Sequence[Record], settings: Settings) -> dict[str, Any]:
    classifier = open_classifier(version, settings)
    try:
        shares = await classifier.probabilities([r.input for r in records])
        typed = await classifier.probabilities([with_typos(r.input) for r in records])
        same = await _same_label(classifier, records[:SWAPPED])
    finally:
        await classifier.aclose()
    return {
        record.id: {
            "label": classifier.labels[row.argmax()],
            "confidence": float(row.max()),
            "typos": classifier.labels[other.argmax()],
            "same": same.get(record.id),
        }
        for record, row, other in zip(records, shares, typed, strict=True)
    }


async def _same_label(classifier: Classifier, records: Sequence[Record]) -> dict[str, dict[str, float]]:
    """Whether the label stays when a name, a gender, a place or the wording of the text is another one, by record."""
    found: dict[str, dict[str, float]] = {record.id: {} for record in records}
    for kind in SAME:
        pairs = [swapped(record.input, kind) for record in records]
        one, other = [
            (await classifier.probabilities(list(texts))).argmax(axis=1) for texts in zip(*pairs, strict=True)
        ]
        for record, a, b in zip(records, one, other, strict=True):
            found[record.id][kind] = float(a == b)
    return found


# --- pairs ----------------------------------------------------------------------------------------


def _search(test: Dataset, others: Sequence[str]) -> Dataset:
    """Each distinct first text asks for its partners among all second texts."""
    partners = dict.fromkeys(answer for record in test.records for answer in record.answers)
    partners.update(dict.fromkeys(text for text in others[:DOCUMENTS]))
    ids = {text: f"d{number}" for number, text in enumerate(partners)}
    relevant: dict[str, dict[str, float]] = {}
    for record in test.records:
        wanted = relevant.setdefault(record.input, {})
        wanted.update({ids[answer]: 1.0 for answer in record.answers if answer != record.input})
    records = tuple(Record(f"q{n}", text, relevant=gains) for n, (text, gains) in enumerate(relevant.items()) if gains)
    return Dataset(test.name, "test", records, tuple(Document(id_, text) for text, id_ in ids.items()))


async def _ranked(data: Dataset, embedding: EmbeddingModel, top: int = 10) -> dict[str, Any]:
    import numpy as np

    documents = await embedding.embed([d.text for d in data.documents], kind="document")
    queries = await embedding.embed([r.input for r in data.records], kind="query")
    same = {d.text: place for place, d in enumerate(data.documents)}
    found = {}
    for record, vector in zip(data.records, queries, strict=True):
        scores = documents @ vector
        if record.input in same:
            scores[same[record.input]] = -np.inf  # to find oneself is no merit
        best = np.argsort(-scores, kind="stable")[:top]
        found[record.id] = [data.documents[place].id for place in best]
    return found


async def _reranked(version: Version, task: Task, settings: Settings, *, base: bool) -> dict[str, Any]:
    """With ``base`` the order of words alone: what a cross-encoder begins with orders nothing."""
    from core.providers.registry import open_model
    from core.training import serving

    if task.name != reranking.TASK:
        raise InputError(reason="wrong_kind", name=version.served_as, kind=version.run.recipe, wanted=task.name)
    model = open_model("rerank", reranking.PLAIN, settings) if base else serving.reranker_of(version, settings)
    try:
        return await reranking.ordered(task.data, model)
    finally:
        await model.aclose()


async def _extracted(version: Version, records: Sequence[Record], settings: Settings) -> dict[str, Any]:
    tagger = entities.open_tagger(version, settings)
    try:
        found = await tagger.extract([record.input for record in records])
    finally:
        await tagger.aclose()
    return {record.id: entities.output(pieces) for record, pieces in zip(records, found, strict=True)}


# --- conversations --------------------------------------------------------------------------------


def _talks(data: Dataset) -> Task:
    def judge(records: Sequence[Record], outputs: Sequence[Any]) -> Mapping[str, Sequence[Cell]]:
        columns: dict[str, list[Cell]] = {name: [] for name in ("nll", "tokens", "overlap", "expected_words")}
        for record, output in zip(records, outputs, strict=True):
            given = output or {}
            text, wanted = given.get("text") or "", record.metadata.get("expected")
            columns["nll"].append(given.get("nll"))
            columns["tokens"].append(given.get("tokens"))
            columns["overlap"].append(spans.f1(text, record.answers, detect_language(record.answers[0])))
            said = text.casefold()
            columns["expected_words"].append(
                None if not wanted else float(all(str(w).casefold() in said for w in wanted))
            )
        return columns

    perplexity = Measure("perplexity", ("nll", "tokens"), "perplexity", higher_is_better=False)
    return Task("conversations", data, judge, (perplexity, Measure("overlap"), Measure("expected_words")))


async def _answered(
    records: Sequence[Record], chat: ChatModel, losses: Mapping[str, tuple[float, int]]
) -> dict[str, Any]:
    import asyncio

    from core.providers.complete import complete
    from core.training.data import conversation
    from core.types import Message, Options

    options = Options(temperature=0.0, max_tokens=ANSWER_TOKENS)
    turn = asyncio.Semaphore(8)

    async def one(record: Record) -> tuple[str, dict[str, Any]]:
        messages = tuple(Message(t["role"], t["content"]) for t in conversation(record)[:-1])  # type: ignore[arg-type]
        async with turn:
            said = await complete(chat, messages, options)
        nll, tokens = losses.get(record.id, (None, None))
        return record.id, {"text": said.text, "nll": nll, "tokens": tokens}

    return dict(await asyncio.gather(*(one(record) for record in records)))


# --- text -----------------------------------------------------------------------------------------


def _text(data: Dataset, *, masked: bool) -> Task:
    names = ("nll", "tokens", "right") if masked else ("nll", "bytes")

    def judge(records: Sequence[Record], outputs: Sequence[Any]) -> Mapping[str, Sequence[Cell]]:
        return {name: [(output or {}).get(name) for output in outputs] for name in names}

    if masked:
        perplexity = Measure("masked_perplexity", ("nll", "tokens"), "perplexity", higher_is_better=False)
        return Task(MASKED, data, judge, (perplexity, Measure("masked_accuracy", ("right",))))
    bits = Measure("bits_per_byte", ("nll", "bytes"), "bits", higher_is_better=False)
    return Task("text", data, judge, (bits,))


def _foreseen(version: Version, task: Task, settings: Settings, *, base: bool) -> dict[str, dict[str, float]]:
    from core.training import texts

    masked = _same_sort(version, task)
    tokenizer, model = texts.opened(version, settings, base=base)
    most = int(version.run.settings["max_tokens"])
    if masked:
        return texts.guesses(tokenizer, model, task.data.records, most=most, seed=version.run.seed)
    return texts.losses(tokenizer, model, task.data.records, most=most)


def _counted(version: Version, task: Task, settings: Settings) -> Evaluation:
    """What counting alone foresees: n-grams of bytes; for hidden tokens, how often each token occurs."""
    learned, records = version.splits().train.records, task.data.records
    if not _same_sort(version, task):
        from core.training.byte_ngrams import ORDER, ByteNgrams

        model = ByteNgrams(r.input for r in learned)
        found = {r.id: {"nll": model.loss(r.input), "bytes": float(len(r.input.encode()) + 1)} for r in records}
        return judged(task, found, name=f"{ORDER}-gram of bytes", config={"order": ORDER})
    from core.training import texts

    tokenizer, _ = texts.opened(version, settings)
    most = int(version.run.settings["max_tokens"])
    return judged(
        task, texts.by_frequency(tokenizer, learned, records, most=most, seed=version.run.seed), name="frequency"
    )


def _same_sort(version: Version, task: Task) -> bool:
    """Whether hidden tokens are guessed.

    Raises:
        InputError: (reason ``wrong_kind``) the version writes on where the task hides, or the other way round.
    """
    masked = version.run.recipe == "masked"
    if masked != (task.name == MASKED):
        raise InputError(reason="wrong_kind", name=version.served_as, kind=version.run.recipe, wanted=task.name)
    return masked
