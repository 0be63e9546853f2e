"""``trained:NAME``: what was trained here and promoted, behind the contracts of all other models.

``trained:NAME`` is the version that serves at the moment of opening, ``trained:NAME@3`` always version 3. The model's own
name carries the version, because vectors are kept under it. A runtime notices a promotion at the next call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.contracts import ChatModel, DecisionModel, EmbeddingModel, Reranker
from core.errors import InputError
from core.evaluation.datasets import Record
from core.i18n import Phrase
from core.providers.decisions import BINS, checked, decided, labels_of
from core.settings import Settings
from core.training.classifiers import Classifier, open_classifier
from core.training.shadow import Shadow
from core.training.store import ENGINE, Trained, Version, named
from core.types import Decision, Question

LOSS_BATCH = 4


def found(model: str, settings: Settings) -> Version:
    """The version called ``NAME`` or ``NAME@3``.

    Raises:
        NotFound, InputError: there is none, or none was promoted.
    """
    store = Trained(settings.home)
    name, number = named(model)
    return store.current(name) if number is None else store.version(name, number)


def open_chat(model: str, *, engine: str, settings: Settings) -> ChatModel:
    return chat_of(_of_role(found(model, settings), "chat"), settings)


def open_embedding(model: str, *, engine: str, settings: Settings) -> EmbeddingModel:
    return embedding_of(_of_role(found(model, settings), "embedding"), settings)


def open_reranker(model: str, *, engine: str, settings: Settings) -> Reranker:
    return reranker_of(_of_role(found(model, settings), "reranker"), settings)


def open_decisions(model: str, *, engine: str, settings: Settings) -> DecisionModel:
    """A trained classifier answers by its labels; a trained chat model as chat models do."""
    version = found(model, settings)
    if version.role == "chat":
        from core.providers.decisions import decision_model

        return decision_model(chat_of(version, settings))
    return TrainedDecisions(open_classifier(version, settings), Shadow(version.run.name, settings))


def chat_of(version: Version, settings: Settings, *, base: bool = False) -> ChatModel:
    """The chat model of ``version``; with ``base`` the one it began with."""
    from core.providers.torch_files import find
    from core.providers.transformers import TransformersChat
    from core.training.bases import resolve

    run = version.run
    adapter = resolve(run.base, settings, adapters=True).adapter if base else version.model
    source = f"{run.base_source}+{adapter}" if adapter else run.base_source
    name = f"{run.name}@{run.version}"
    files = find(source, name=f"{ENGINE}:{name}", folder=settings.folder)
    return TransformersChat(files, provider=ENGINE, model=name, settings=settings)


def embedding_of(version: Version, settings: Settings, *, base: bool = False) -> EmbeddingModel:
    """The embedding model of ``version``; with ``base`` the one it began with."""
    if version.adapts:
        from core.providers.registry import open_model
        from core.training.adapted import open_adapted

        plain: EmbeddingModel = open_model("embedding", version.run.embedding, settings)
        return plain if base else open_adapted(version.model, plain, version.served_as)
    from core.providers import sentence_transformers as engine

    path = version.run.base_source if base else str(version.model)
    opened = engine.open_embedding(path, engine="sentence-transformers", settings=settings)
    if not base:
        opened.name = opened._loaded.name = version.served_as
    return opened


def reranker_of(version: Version, settings: Settings) -> Reranker:
    """The cross-encoder of ``version``."""
    from core.providers import sentence_transformers as engine

    opened = engine.open_reranker(str(version.model), engine="sentence-transformers", settings=settings)
    opened.name = opened._loaded.name = version.served_as
    return opened


def losses_of(
    version: Version, records: Sequence[Record], settings: Settings, *, base: bool = False
) -> dict[str, tuple[float, int]]:
    """``(summed negative log-likelihood in nats, tokens)`` of each record's answers, as the model would say them."""
    import torch

    from core.training.recipes.chat import IGNORED, encoded, padded

    model, tokenizer = weights_of(version, settings, base=base)
    device = model.device
    rows = {r.id: row for r in records if (row := encoded(tokenizer, r, int(version.run.settings["max_tokens"])))}
    order, collate, found = sorted(rows, key=lambda id_: len(rows[id_]["input_ids"])), padded(tokenizer), {}
    with torch.inference_mode():
        for start in range(0, len(order), LOSS_BATCH):
            ids = order[start : start + LOSS_BATCH]
            batch = {name: column.to(device) for name, column in collate([rows[id_] for id_ in ids]).items()}
            labels = batch.pop("labels")[:, 1:]
            scores = model(**batch).logits[:, :-1].float()
            each = torch.nn.functional.cross_entropy(
                scores.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none"
            )
            for id_, nll, count in zip(ids, each.sum(1).tolist(), (labels != IGNORED).sum(1).tolist(), strict=True):
                found[id_] = (float(nll), int(count))
    return found


def weights_of(version: Version, settings: Settings, *, base: bool = False) -> tuple[Any, Any]:
    """The weights and the tokenizer of a trained chat model, to compute with; with ``base`` those it began with."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from core.providers.torch_device import choose
    from core.providers.torch_loading import merge_adapter
    from core.training.bases import quiet, resolve

    began = resolve(version.run.base, settings, adapters=True)
    adapter = began.adapter if base else version.model
    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(began.folder, local_files_only=True)
        model: Any = AutoModelForCausalLM.from_pretrained(
            began.folder, dtype=torch.float32, local_files_only=True, trust_remote_code=False
        )
        if adapter:
            model = merge_adapter(model, adapter)
    return model.to(choose(settings).name).eval(), tokenizer


class TrainedDecisions:
    """A classifier's labels as answers: ``choice`` among some or all of them, ``yes_no`` where they are yes and no,
    ``score`` where they are numbers. The state is what is classified; the instructions are not read."""

    def __init__(self, classifier: Classifier, shadow: Shadow | None = None) -> None:
        self.name = classifier.name
        self.classifier = classifier
        self.shadow = shadow

    async def decide(self, state: str, questions: Sequence[Question]) -> Mapping[str, Decision]:
        """Raises: InputError: (reason ``bad_value``) a choice is not among the labels it was trained on."""
        if not checked(questions):
            return {}
        (shares,) = await self.classifier.probabilities([state])
        by_label = dict(zip(self.classifier.labels, map(float, shares), strict=True))
        if self.shadow is not None:
            label = max(by_label, key=by_label.__getitem__)
            await self.shadow.beside(state, self.classifier, label, by_label[label])
        return {q.id: decided(q, self._weights(q, by_label), self.name) for q in questions}

    async def aclose(self) -> None:
        await self.classifier.aclose()
        if self.shadow is not None:
            await self.shadow.aclose()

    def _weights(self, question: Question, by_label: Mapping[str, float]) -> list[float]:
        labels = labels_of(question)
        if question.kind == "score":
            numbers = {label: _float(label) for label in by_label}
            if None in numbers.values():
                raise self._strange(question, [label for label, number in numbers.items() if number is None])
            weights = [0.0] * BINS
            for label, share in by_label.items():
                value = min(max(float(label), question.low), question.high)
                weights[min(range(BINS), key=lambda place, value=value: abs(float(labels[place]) - value))] += share  # type: ignore[misc]
            return weights
        if strange := [label for label in labels if label not in by_label]:
            raise self._strange(question, strange)
        return [by_label[label] for label in labels]

    def _strange(self, question: Question, strange: Sequence[str]) -> InputError:
        return InputError(
            reason="bad_value", name=f"{question.id}.choices", value=", ".join(strange),
            allowed=Phrase("allowed.one_of", choices=", ".join(self.classifier.labels)),
        )  # fmt: skip


def _of_role(version: Version, wanted: str) -> Version:
    if version.role != wanted:
        raise InputError(reason="wrong_kind", name=version.served_as, kind=version.run.recipe, wanted=wanted)
    return version


def _float(label: str) -> Any:
    try:
        return float(label)
    except ValueError:
        return None
