"""Three ways to answer typed questions with probabilities: on a local chat model's logits, on any chat model's
structured output, on labelled examples next to the text in an embedding.

Each keeps ``core.contracts.DecisionModel``. The labels of a ``yes_no`` question are ``yes`` and ``no``, those of a
``choice`` its choices; a ``score`` is asked over ``BINS`` values from low to high, and answered by their mean.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections import Counter, OrderedDict
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from core.contracts import ChatModel, DecisionModel, EmbeddingModel
from core.errors import InputError, InvalidResponse, Unsupported
from core.i18n import Phrase, detect_language, message
from core.providers.complete import complete
from core.types import Completion, Decision, Example, Message, Options, Question, assistant, user

if TYPE_CHECKING:
    import numpy as np

BINS = 5
T = TypeVar("T")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CONTENT_FREE = ("N/A", "[MASK]", "")  # the inputs of Zhao et al., section 3
_LOCAL = ("gguf:", "embedded:")
_TOP = 50  # tokens looked at for the letters; one that is not among them is less likely than all of them
_AT_ONCE = {"chat_template_kwargs": {"enable_thinking": False}}  # the first token is the letter
_REMEMBERED = 256  # questions whose bias is kept


def decision_model(
    model: ChatModel | EmbeddingModel, examples: Sequence[Example] | Mapping[str, Sequence[Example]] | None = None
) -> DecisionModel:
    """The decision model that suits ``model``: nearest ``examples`` for embeddings, label logits for a local chat
    model, structured output for any other.

    Raises:
        InputError: (reason ``bad_value``) examples and model do not go together.
    """
    if isinstance(model, EmbeddingModel):
        return NearestExamples(model, examples or ())
    if examples is not None:
        raise _bad("examples", model.name, Phrase("decision.embedding_only"))
    local = model.name.startswith(_LOCAL) and model.capabilities.logprobs
    return LabelLogits(model) if local else Structured(model)


# --- questions --------------------------------------------------------------------------------


def labels_of(question: Question) -> tuple[str, ...]:
    """The labels ``question`` may be answered with.

    Raises:
        InputError: (reason ``bad_value``) fewer than two different choices, or an empty range.
    """
    if question.kind == "yes_no":
        return ("yes", "no")
    if question.kind == "choice":
        if len(question.choices) < 2 or len(set(question.choices)) != len(question.choices):
            raise _bad(f"{question.id}.choices", ", ".join(question.choices), Phrase("decision.choices"))
        return tuple(question.choices)
    if not (math.isfinite(question.low) and math.isfinite(question.high) and question.low < question.high):
        raise _bad(f"{question.id}.low", f"{question.low}, {question.high}", Phrase("decision.range"))
    step = (question.high - question.low) / (BINS - 1)
    return tuple(f"{question.low + step * number:.6g}" for number in range(BINS))


def decided(question: Question, probabilities: Sequence[float], model: str) -> Decision:
    """The decision for ``probabilities`` (any positive weights) of the question's labels."""
    labels = labels_of(question)
    total = sum(probabilities)
    shares = [value / total for value in probabilities] if total > 0 else [1 / len(labels)] * len(labels)
    best = max(range(len(labels)), key=shares.__getitem__)
    answer: str | float = labels[best]
    if question.kind == "score":
        mean = sum(share * float(label) for share, label in zip(shares, labels, strict=True))
        answer = min(max(mean, question.low), question.high)
    return Decision(question.id, answer, shares[best], dict(zip(labels, shares, strict=True)), model)


def checked(questions: Sequence[Question]) -> Sequence[Question]:
    """``questions``, which can be answered and have different ids.

    Raises:
        InputError: (reason ``bad_value``) they have not, or a question has no labels to choose from.
    """
    ids = [question.id for question in questions]
    if len(set(ids)) != len(ids):
        raise _bad("questions", ", ".join(ids), Phrase("decision.ids"))
    for question in questions:
        labels_of(question)
    return questions


def _bad(name: str, value: object, allowed: Phrase) -> InputError:
    return InputError(reason="bad_value", name=name, value=value, allowed=allowed)


def _spoken(question: Question, language: str) -> list[str]:
    """The labels as the model reads them."""
    if question.kind == "yes_no":
        return [message("decision.yes", language), message("decision.no", language)]
    return list(labels_of(question))


def _lettered(question: Question, language: str) -> str:
    return "\n".join(f"{letter}. {label}" for letter, label in zip(LETTERS, _spoken(question, language), strict=False))


async def _together(calls: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of ``calls``, run at once; when one fails the others are cancelled."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


# --- label logits -----------------------------------------------------------------------------


class LabelLogits:
    """Asks for one letter and reads the probabilities of all letters from the logits of that one token.

    A model of some ability is needed: SmolLM2 proves the path and answers near chance.

    The answer is begun with the word that leads to the letter, which llama.cpp continues, so that even a tiny model
    spends its probability on letters. With ``calibrate`` each probability is divided by the one the same question
    gets for inputs without content, so that a model's liking for "A" or "yes" does not decide (contextual
    calibration). Source: Zhao, Wallace, Feng, Klein and Singh, Calibrate Before Use, ICML 2021,
    https://arxiv.org/abs/2102.09690; changed: zero-shot, letters for labels.
    """

    def __init__(self, chat: ChatModel, *, calibrate: bool = True, content_free: Sequence[str] = CONTENT_FREE) -> None:
        if not chat.capabilities.logprobs:
            provider, _, model = chat.name.partition(":")
            raise Unsupported(provider=provider, model=model, feature="logprobs")
        self.name = chat.name
        self._chat = chat
        self._content_free = tuple(content_free) if calibrate else ()
        self._biases: OrderedDict[tuple[Question, str], list[float]] = OrderedDict()

    async def decide(self, state: str, questions: Sequence[Question]) -> Mapping[str, Decision]:
        for question in checked(questions):
            if len(labels_of(question)) > len(LETTERS):
                raise _bad(
                    f"{question.id}.choices", len(question.choices), Phrase("decision.too_many", most=len(LETTERS))
                )
        language = detect_language("".join(question.instructions for question in questions) or state)
        found = await _together([self._answer(state, question, language) for question in questions])
        return {decision.question_id: decision for decision in found}

    async def _answer(self, state: str, question: Question, language: str) -> Decision:
        bias = await self._bias(question, language)
        seen = await self._letters(state, question, language)
        return decided(question, [value / share for value, share in zip(seen, bias, strict=True)], self.name)

    async def _bias(self, question: Question, language: str) -> list[float]:
        """What the question gets for inputs without content; 1 for each letter where nothing is calibrated."""
        if not self._content_free:
            return [1.0] * len(labels_of(question))
        key = (replace(question, id=""), language)
        if key not in self._biases:
            rows = await _together([self._letters(text, question, language) for text in self._content_free])
            self._biases[key] = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
            if len(self._biases) > _REMEMBERED:
                self._biases.popitem(last=False)
        return self._biases[key]

    async def _letters(self, state: str, question: Question, language: str) -> list[float]:
        """The probabilities of the letters, which sum to 1."""
        asked = message(
            "decision.letter",
            language,
            state=state,
            instructions=question.instructions,
            options=_lettered(question, language),
        )
        options = Options(max_tokens=1, temperature=0.0, top_logprobs=_TOP, stream=False, extra=_AT_ONCE)
        found = await complete(self._chat, (user(asked), assistant(message("decision.begun", language))), options)
        return _letter_shares(found, len(labels_of(question)))


def _letter_shares(found: Completion, count: int) -> list[float]:
    if not found.logprobs:
        raise InvalidResponse(provider=found.provider, model=found.model, detail=Phrase("decision.no_logprobs"))
    top = found.logprobs[0].top
    least = math.exp(min(logprob for _, logprob in top))
    shares = [0.0] * count
    for token, logprob in top:
        place = LETTERS.find(token.strip(" \n.:)*(").upper() or "?")
        if 0 <= place < count:
            shares[place] += math.exp(logprob)
    shares = [share or least for share in shares]  # not among the first: at most as likely as the last of them
    return [share / sum(shares) for share in shares]


# --- structured output ------------------------------------------------------------------------


class Structured:
    """Asks any chat model for JSON.

    With ``samples=0`` the model itself says how likely each label is, in percent, all questions in one call: cheap,
    and only as honest as the model; not calibrated. With ``samples=n`` it answers ``n`` times at ``temperature``, and
    the shares of its answers count (half an answer is added to each label, so that none is impossible). Source:
    Tian et al., Just Ask for Calibration, EMNLP 2023, https://arxiv.org/abs/2305.14975 (the two ways compared).

    A model without JSON schemas is told the form in words.
    """

    def __init__(self, chat: ChatModel, *, samples: int = 0, temperature: float = 1.0) -> None:
        self.name = chat.name
        self._chat, self._samples, self._temperature = chat, samples, temperature

    async def decide(self, state: str, questions: Sequence[Question]) -> Mapping[str, Decision]:
        if not checked(questions):
            return {}
        language = detect_language("".join(question.instructions for question in questions) or state)
        if self._samples:
            weights = await self._counted(state, questions, language)
        else:
            weights = await self._reported(state, questions, language)
        return {q.id: decided(q, row, self.name) for q, row in zip(questions, weights, strict=True)}

    async def _reported(self, state: str, questions: Sequence[Question], language: str) -> list[list[float]]:
        """Percents per label, as the model says them."""
        percent = {"type": "integer", "minimum": 0, "maximum": 100}
        forms = [_closed(dict.fromkeys(_keys(labels_of(question)), percent)) for question in questions]
        answer = await self._ask("decision.percent", state, questions, forms, language)
        return [
            [float(answer[f"q{number}"][key]) for key in _keys(labels_of(question))]
            for number, question in enumerate(questions, 1)
        ]

    async def _counted(self, state: str, questions: Sequence[Question], language: str) -> list[list[float]]:
        """Half an answer plus the answers given, per label."""
        forms = [{"type": "string", "enum": _keys(labels_of(question))} for question in questions]
        answers = await _together(
            [
                self._ask("decision.pick", state, questions, forms, language, temperature=self._temperature)
                for _ in range(self._samples)
            ]
        )
        rows = []
        for number, question in enumerate(questions, 1):
            given = Counter(answer[f"q{number}"] for answer in answers)
            rows.append([0.5 + given[key] for key in _keys(labels_of(question))])
        return rows

    async def _ask(
        self,
        prompt: str,
        state: str,
        questions: Sequence[Question],
        forms: Sequence[Mapping[str, Any]],
        language: str,
        temperature: float = 0.0,
    ) -> Mapping[str, Any]:
        schema = _closed({f"q{number}": form for number, form in enumerate(forms, 1)})
        listed = "\n\n".join(
            f"q{number}: {question.instructions}\n{_keyed(question, language)}"
            for number, question in enumerate(questions, 1)
        )
        asked = message(prompt, language, state=state, questions=listed)
        options = Options(temperature=temperature, stream=False)
        if self._chat.capabilities.schema:
            options = replace(options, schema=schema)
        else:
            asked += "\n\n" + message("decision.form", language, schema=json.dumps(schema, ensure_ascii=False))
        found = await complete(self._chat, _user(asked), options)
        return _parsed(found, schema)


def _user(text: str) -> Sequence[Message]:
    return (user(text),)


def _keys(labels: Sequence[str]) -> list[str]:
    """Short names of the labels in the JSON: a label may be any text."""
    return [f"o{number}" for number in range(1, len(labels) + 1)]


def _keyed(question: Question, language: str) -> str:
    spoken = _spoken(question, language)
    return "\n".join(f"{key}: {label}" for key, label in zip(_keys(spoken), spoken, strict=True))


def _closed(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of an object with exactly these properties."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _parsed(found: Completion, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The JSON object in the answer, checked against our own schema."""
    begins, ends = found.text.find("{"), found.text.rfind("}")
    try:
        answer = json.loads(found.text[begins : ends + 1])
        for name, form in schema["properties"].items():
            value = answer[name]
            if "enum" in form:
                fits = value in form["enum"]
            else:
                fits = all(isinstance(value[key], int | float) and 0 <= value[key] <= 100 for key in form["properties"])
            if not fits:
                raise ValueError(name)
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidResponse(provider=found.provider, model=found.model, detail=found.text[:200]) from error
    return answer


# --- nearest examples -------------------------------------------------------------------------

_TEMPERATURES = tuple(0.01 * 1.35**step for step in range(16))  # 0.01 … 0.9, in units of cosine
_UNIFORM = 0.01  # mixed in, so that nothing is impossible


@dataclass(frozen=True, eq=False, slots=True)
class _Shelf:
    """Examples with their vectors. Shape of ``vectors``: ``(n, dim)``."""

    labels: tuple[str, ...]
    vectors: np.ndarray
    temperature: float


class NearestExamples:
    """Lets labelled examples vote, each with ``exp(cosine / temperature)``.

    ``examples`` serve every question whose labels they bear; a mapping gives each question id its own. The
    temperature that makes the left-out example's label most likely is found on the examples, unless one is given.
    For a score question the labels are numbers. Texts are embedded as queries on both sides: this compares like with
    like. Source: the attention of Vinyals et al., Matching Networks, NeurIPS 2016, https://arxiv.org/abs/1606.04080,
    with a fitted temperature in place of a trained embedding.
    """

    def __init__(
        self,
        embedding: EmbeddingModel,
        examples: Sequence[Example] | Mapping[str, Sequence[Example]],
        *,
        temperature: float | None = None,
    ) -> None:
        self.name = embedding.name
        self._embedding, self._examples, self._temperature = embedding, examples, temperature
        self._shelves: dict[tuple[Example, ...], _Shelf] = {}

    async def decide(self, state: str, questions: Sequence[Question]) -> Mapping[str, Decision]:
        chosen = {question.id: self._chosen(question) for question in checked(questions)}
        if not chosen:
            return {}
        (vector,) = await self._embedding.embed([state], kind="query")
        decisions = {}
        for question in questions:
            shelf = await self._shelf(chosen[question.id])
            decisions[question.id] = self._vote(question, shelf, shelf.vectors @ vector)
        return decisions

    async def fitted_temperature(self, question: Question) -> float:
        """The temperature used for ``question``, in units of cosine."""
        return (await self._shelf(self._chosen(question))).temperature

    def _chosen(self, question: Question) -> tuple[Example, ...]:
        """The examples that bear the question's labels.

        Raises:
            InputError: (reason ``bad_value``) a label has no example.
        """
        given = self._examples.get(question.id, ()) if isinstance(self._examples, Mapping) else self._examples
        if question.kind == "score":
            found = tuple(e for e in given if _number(e.label) is not None)
            if found:
                return found
            missing = ["0.5"]
        else:
            labels = labels_of(question)
            found = tuple(e for e in given if e.label in labels)
            missing = sorted(set(labels) - {e.label for e in found})
        if missing:
            raise _bad(
                f"examples[{question.id}]", f"{len(found)}", Phrase("decision.examples", labels=", ".join(missing))
            )
        return found

    async def _shelf(self, examples: tuple[Example, ...]) -> _Shelf:
        shelf = self._shelves.get(examples)
        if shelf is None:
            vectors = await self._embedding.embed([e.text for e in examples], kind="query")
            labels = tuple(e.label for e in examples)
            temperature = self._temperature if self._temperature is not None else fit_temperature(vectors, labels)
            shelf = self._shelves[examples] = _Shelf(labels, vectors, temperature)
        return shelf

    def _vote(self, question: Question, shelf: _Shelf, cosines: np.ndarray) -> Decision:
        votes = _votes(cosines, shelf.temperature)
        labels = labels_of(question)
        shares = dict.fromkeys(labels, 0.0)
        for label, vote in zip(shelf.labels, votes, strict=True):
            if question.kind == "score":
                value = min(max(float(label), question.low), question.high)
                label = min(labels, key=lambda bin, value=value: abs(float(bin) - value))  # type: ignore[misc]
            shares[label] += float(vote)
        mixed = [(1 - _UNIFORM) * share + _UNIFORM / len(labels) for share in shares.values()]
        return decided(question, mixed, self.name)


def fit_temperature(vectors: np.ndarray, labels: Sequence[str]) -> float:
    """The temperature under which each example, left out, is best foretold by the others.

    Minimises the mean negative log-likelihood over a grid; an example that is the only one of its label says
    nothing. Shape of ``vectors``: ``(n, dim)``, rows of norm 1.
    """
    import numpy as np

    names = np.asarray(labels)
    same = names[:, None] == names[None, :]
    np.fill_diagonal(same, False)
    told = same.any(axis=1)
    if not told.any():
        return 0.05
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    kinds = len(set(labels))

    def loss(temperature: float) -> float:
        votes = np.stack([_votes(row, temperature) for row in cosines[told]])
        right = (votes * same[told]).sum(axis=1)
        return float(-np.log((1 - _UNIFORM) * right + _UNIFORM / kinds).mean())

    return min(_TEMPERATURES, key=loss)


def _votes(cosines: np.ndarray, temperature: float) -> np.ndarray:
    """Softmax of ``cosines / temperature``. Shape: ``(n,)`` to ``(n,)``, sum 1."""
    import numpy as np

    weights = np.exp((cosines - cosines.max()) / temperature)
    return weights / weights.sum()


def _number(label: str) -> float | None:
    return float(label) if re.fullmatch(r"-?\d+(\.\d+)?", label) else None
