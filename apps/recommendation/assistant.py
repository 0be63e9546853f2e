"""What a chat model may add: reading a wish, reordering a list, wording a reason. It decides nothing alone.

- **Reading**: names come from the catalogue's own list (the schema holds no other), every finding must quote the
  wish word for word, a title must be one of the catalogue, and what the rules read with a negation stays negative.
- **Reordering**: only the given candidates, by the probabilities of a :class:`core.contracts.DecisionModel`; they are
  asked for in two opposite orders and averaged, because models prefer what stands first.
- **Wording**: from the signals of a pick only; a sentence that these do not bear out is not used.

Each function raises the model's own errors; the service goes on without it and says so.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from apps.recommendation import preferences
from apps.recommendation.log import Array
from apps.recommendation.preferences import Said, Titles
from core.contracts import ChatModel, DecisionModel
from core.errors import InvalidResponse
from core.i18n import detect_language, message
from core.prompts.library import library
from core.providers.complete import complete
from core.retrieval.check import check
from core.types import Options, Passage, Question

library.add_folder(Path(__file__).parent / "prompts")
CANDIDATES = 20  # of a list that is reordered; letters are given to no more than 26
WEIGHT = 0.5  # of the model's preference beside the place in the list
_MOST = 8  # findings and titles of one wish
_LONGEST = 300  # tokens of an answer
_LEAST_SHARE = 1e-4  # a probability below this is noise


async def read(
    chat: ChatModel, sentence: str, titles: Titles, concepts: Collection[str], kinds: Collection[str]
) -> list[Said]:
    """What ``sentence`` says, by rules and by ``chat``, in its order.

    Args:
        concepts, kinds: what the catalogue has; nothing else can be understood.
    """
    by_rules = preferences.understood(sentence, titles)
    language = detect_language(sentence)
    names = dict.fromkeys(concepts, "concept") | dict.fromkeys(kinds, "kind")
    if not names:
        return by_rules
    listed = "\n".join(
        f"{name}: {message(f'recommendation.{group}.{name}', language)}" for name, group in names.items()
    )
    prompt = library.get("understand_wish").render(language=language, wish=sentence, listed=listed)
    schema = _schema(sorted(names))
    options = Options(temperature=0.0, max_tokens=_LONGEST)
    if chat.capabilities.schema:
        options = replace(options, schema=schema)
    found = await complete(chat, prompt, options)
    by_model = [said for row in _rows(found.text, chat.name) if (said := _checked(row, sentence, names, titles))]
    known = {(said.kind, said.name) for said in by_rules}
    added = {(said.kind, said.name): said for said in reversed(by_model) if (said.kind, said.name) not in known}
    return sorted([*by_rules, *added.values()], key=lambda said: said.start)


async def preferred(model: DecisionModel, person: str, candidates: Sequence[str], language: str) -> Array:
    """How likely each of ``candidates`` is chosen by a person of whom ``person`` tells, over two opposite orders.

    Shape: ``(len(candidates),)``, summing to 1.
    """
    labels = [f"{text} #{place}" if candidates.count(text) > 1 else text for place, text in enumerate(candidates)]
    instructions = message("recommendation.model.question", language)
    rows = []
    for order in (labels, labels[::-1]):
        answer = (await model.decide(person, [Question("next", "choice", instructions, tuple(order))]))["next"]
        rows.append([answer.probabilities[label] for label in labels])
    return np.mean(rows, axis=0)


def reordered(items: Array, shares: Array) -> Array:
    """``items``, best first, with the model's shares counted beside their places.

    >>> reordered(np.array([7, 8, 9]), np.array([0.1, 0.1, 0.8])).tolist()
    [7, 9, 8]
    """
    told = np.log(np.maximum(shares, _LEAST_SHARE))
    spread = float(told.std())
    worth = -np.log1p(np.arange(len(items)))
    if spread > 0:
        worth = worth + WEIGHT * (told - told.mean()) / spread
    return items[np.argsort(-worth, kind="stable")]


async def worded(chat: ChatModel, title: str, about: str, signals: Sequence[str], language: str) -> str | None:
    """A sentence for the signals of a pick, or ``None`` when what the model wrote is not borne out by them."""
    listed = "\n".join(signals)
    prompt = library.get("word_reason").render(language=language, title=title, about=about, signals=listed)
    found = await complete(chat, prompt, Options(temperature=0.0, max_tokens=80))
    written = found.text.strip()
    source = f"{about}\n{listed}"
    passage = Passage("signals", "signals", source, title, "signals", 0, 0, len(source))
    if not written or "\n" in written or check(written, [passage]).failed:
        return None
    return written


async def all_worded(
    chat: ChatModel, given: Sequence[tuple[str, str, Sequence[str]]], language: str
) -> list[str | None]:
    """:func:`worded` for several picks at once."""
    return list(await asyncio.gather(*(worded(chat, *one, language) for one in given)))


def _schema(names: Sequence[str]) -> dict[str, Any]:
    def listed(properties: dict[str, Any]) -> dict[str, Any]:
        form = {**properties, "wanted": {"type": "boolean"}}
        row = {"type": "object", "properties": form, "required": list(form), "additionalProperties": False}
        return {"type": "array", "maxItems": _MOST, "items": row}

    text = {"type": "string"}
    properties = {"found": listed({"name": {"enum": list(names)}, "words": text}), "titles": listed({"title": text})}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _rows(text: str, model: str) -> list[dict[str, Any]]:
    begins, ends = text.find("{"), text.rfind("}")
    try:
        answer = json.loads(text[begins : ends + 1])
        rows = [*answer["found"], *answer["titles"]]
        if not all(isinstance(row, dict) for row in rows):
            raise TypeError
    except (ValueError, KeyError, TypeError) as error:
        provider, _, name = model.partition(":")
        raise InvalidResponse(provider=provider, model=name, detail=text[:200]) from error
    return rows[: 2 * _MOST]


def _checked(row: dict[str, Any], sentence: str, names: dict[str, str], titles: Titles) -> Said | None:
    """The finding, when the wish holds its words and the catalogue what it names."""
    words, wanted = str(row.get("words") or row.get("title") or "").strip(), row.get("wanted") is True
    start = sentence.casefold().find(words.casefold()) if words else -1
    if start < 0:
        return None
    end = start + len(words)
    positive = wanted and preferences.wanted(sentence, start, end)
    if "title" in row:
        id_ = titles.named(words)
        return Said("title", id_, positive, start, end) if id_ else None
    name = row.get("name")
    if not isinstance(name, str) or name not in names:
        return None
    return Said(names[name], name, positive, start, end)  # type: ignore[arg-type]
