"""Whether a source says a claim, asked of a language model that reads both languages.

Eight judged examples come first, which a local model keeps in memory, then the source and the claim; one token is asked for. Of a
model that was measured (``data/judge.yaml``) not "Yes" and "No" alone count but the log probabilities of some hundred words: they
are projections of its last hidden state, and a linear reading of that state knows better than the word it would say.
Sources: Alain and Bengio 2016, https://arxiv.org/abs/1610.01644; Azaria and Mitchell 2023, https://arxiv.org/abs/2304.13734;
changed: read through words of the vocabulary, which every engine gives that gives log probabilities.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.contracts import ChatModel
from core.errors import InvalidResponse, Unsupported
from core.i18n import Phrase, detect_language
from core.retrieval import sentences, tokens
from core.types import Done, Message, Options, assistant, system, user

DATA = Path(__file__).parent / "data" / "judge.yaml"
# The first token is the answer. A service may refuse a word that it does not know, so it is said to local models alone.
_AT_ONCE = {"chat_template_kwargs": {"enable_thinking": False}}
_LOCAL = ("gguf:", "embedded:")
_MOST = 20  # log probabilities that any server gives
_LONGEST = {"zh": 400, "en": 1_200}  # characters of a source, some 270 tokens
_WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True)
class Reading:
    """How the log probabilities of one model are read."""

    weights: Mapping[str, float]  # by token
    constant: float
    refused: Mapping[str, float]  # by language: with less the source does not say the claim
    accepted: Mapping[str, float]  # and with as much it does
    top: int  # log probabilities to ask for

    def odds(self, top: Sequence[tuple[str, float]]) -> float:
        """``constant`` and each word's log probability times its weight; a word that is not there counts as the last of ``top``."""
        held = dict(top)
        least = min(held.values())
        return self.constant + sum(weight * held.get(word, least) for word, weight in self.weights.items())


class Judge:
    """A chat model that judges claims. One that is not listed in ``data/judge.yaml`` is taken at its word: yes or no.

    Args:
        reading: in place of the listed one.

    Raises:
        Unsupported: the model gives no log probabilities.
    """

    def __init__(self, chat: ChatModel, reading: Reading | None = None) -> None:
        if not chat.capabilities.logprobs:
            provider, _, model = chat.name.partition(":")
            raise Unsupported(provider=provider, model=model, feature="logprobs")
        self.name = chat.name
        self._chat = chat
        self._reading = reading or _readings().get(chat.name)

    async def says(self, source: str, claim: str) -> bool | None:
        """Whether ``source`` says ``claim``; ``None`` where the model is not sure."""
        found = await self.odds(source, claim)
        if self._reading is None:
            return found > 0
        language = "zh" if detect_language(claim) == "zh" else "en"
        if found < self._reading.refused[language]:
            return False
        return True if found >= self._reading.accepted[language] else None

    async def odds(self, source: str, claim: str) -> float:
        """How surely ``source`` says ``claim``: more is surer, and what is sure is told by the limits of the model.

        Raises:
            ProviderError: the model does not answer, or without log probabilities.
        """
        top = await self.top(source, claim)
        if self._reading is not None:
            return self._reading.odds(top)
        said = [(found[0], value) for word, value in top if (found := _WORD.findall(word.lower()))]
        least = min(value for _, value in top)
        yes, no = (max((v for word, v in said if word == asked), default=least) for asked in ("yes", "no"))
        return yes - no

    async def top(self, source: str, claim: str) -> Sequence[tuple[str, float]]:
        """The likeliest tokens the answer may begin with, and their log probabilities."""
        count = _MOST if self._reading is None else self._reading.top
        extra = _AT_ONCE if self.name.startswith(_LOCAL) else {}
        options = Options(max_tokens=1, temperature=0.0, top_logprobs=count, stream=False, extra=extra)
        async with aclosing(self._chat.stream((*_examples(), _asked(source, claim)), options)) as events:
            async for event in events:
                if isinstance(event, Done) and event.completion.logprobs and event.completion.logprobs[0].top:
                    return event.completion.logprobs[0].top
        provider, _, model = self.name.partition(":")
        raise InvalidResponse(provider=provider, model=model, detail=Phrase("decision.no_logprobs"))


def shown(source: str, claim: str) -> str:
    """``source``, or those of its sentences, in their order, that share most with ``claim`` where it is long."""
    longest = _LONGEST["zh" if detect_language(source) == "zh" else "en"]
    if len(source) <= longest:
        return source
    terms = set(tokens.content_terms(claim))
    spans = [source[start:end] for start, end in sentences.spans(source)]
    shared = [len(terms.intersection(tokens.tokens(text))) / (1 + len(text) ** 0.5) for text in spans]
    kept: list[int] = []
    for place in sorted(range(len(spans)), key=lambda place: -shared[place]):
        if sum(len(spans[n]) for n in kept) + len(spans[place]) <= longest or not kept:
            kept.append(place)
    return " ".join(spans[place].strip() for place in sorted(kept))[: 2 * longest]


def _asked(source: str, claim: str) -> Message:
    return user(_data()["asked"].format(source=source, claim=claim))


@lru_cache(maxsize=1)
def _examples() -> tuple[Message, ...]:
    """The task, and examples with their answers."""
    found: list[Message] = [system(_data()["task"])]
    for example in _data()["examples"]:
        for row in example["claims"]:
            found += [_asked(example["source"], row["claim"]), assistant("Yes" if row["says"] else "No")]
    return tuple(found)


@lru_cache(maxsize=1)
def _readings() -> Mapping[str, Reading]:
    return {name: Reading(**row) for name, row in _data()["models"].items()}


@lru_cache(maxsize=1)
def _data() -> dict[str, Any]:
    import yaml

    read: dict[str, Any] = yaml.safe_load(DATA.read_text("utf-8"))
    return read
