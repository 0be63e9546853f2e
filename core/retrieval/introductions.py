"""What a product is, or what tells two apart, is quoted where the documents named after them introduce them.

"What is the difference between the KT-210 and the KT-310?" and "Tell me about the KT-310" ask for no value by which a
sentence could be weighed, so that the usual way finds whatever happens to name them, or nothing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from core.retrieval import evidence, in_force, tokens
from core.retrieval.quotes import POINTS_BACK
from core.retrieval.records import Found
from core.retrieval.units import Unit, units
from core.types import Hit, Language, Passage

MOST = 3  # products in one question
LOOKED_AT = 12  # passages for each of them
TOGETHER = 2  # further sentences, each naming all of them
_ASKS = re.compile(
    r"区别|不同(?:点|之处)?|差别|差异|分别|对比|比较|相比|比|哪(?:个|款|种|一个|一款)(?:更|比较)?(?:好|合适|值得)?(?:一[点些])?|怎么选|选哪个?"
    r"|\b(?:differences?|differ|different|compar(?:e[ds]?|ing|ison)|versus|vs\.?|which (?:one )?is better|better|choose|or)\b",
    re.IGNORECASE,
)
_ASKS_OF_ONE = re.compile(
    r"介绍|是什么(?:东西|产品)?|是啥|怎么样|怎样|好不好|好用吗|\b(?:tell me (?:more )?about|what(?: is|'?s| are)|describe|introduce|info(?:rmation)?(?: (?:on|about))?)\b",
    re.IGNORECASE,
)
_FRAME = re.compile(r"这|那|[两俩二三]|几?[款种个者]|之间|有|什么|啥|请|帮我|一下|\b(?:between|tell me|please|models?|products?|one|two)\b", re.IGNORECASE)  # fmt: skip


class Finds(Protocol):
    async def find(self, query: str, top_k: int = 8) -> Found: ...


@dataclass(frozen=True, slots=True)
class Products:
    """``names`` as the question writes them; ``terms`` is what else it says, which must be what the products are."""

    names: tuple[str, ...]
    terms: frozenset[str]


def products(question: str) -> Products | None:
    """The two or three products whose difference is asked for, or the one that is; ``None`` for any other question.

    >>> products("KT-210 和 KT-310 有什么区别？").names, products("TW-5 or TW-5 Pro?").names, products("What's a KT-210?").names
    (('KT-210', 'KT-310'), ('TW-5', 'TW-5 Pro'), ('KT-210',))
    >>> products("Can I return the KT-210?") is None
    True
    """
    names = {_folded(m[0]): m[0] for m in tokens.PRODUCT.finditer(question)}
    asks = _ASKS_OF_ONE if len(names) == 1 else _ASKS
    if not 1 <= len(names) <= MOST or not asks.search(question):
        return None
    rest = _FRAME.sub(" ", asks.sub(" ", tokens.PRODUCT.sub(" ", question)))
    return Products(tuple(names.values()), frozenset(tokens.content_terms(rest)))


async def introduced(index: Finds, asked: Products, language: Language) -> list[tuple[Hit, Unit]]:
    """Of each product the sentence by which the document named after it begins, of one alone what follows it, too.

    Empty where one has no such document, or where the question says more than what the products are: it asks for
    something special, then.
    """
    found: list[tuple[Hit, Unit]] = []
    told: set[str] = set()
    searches = await asyncio.gather(*(index.find(name, LOOKED_AT) for name in asked.names))
    for name, search in zip(asked.names, searches, strict=True):
        hits = [hit for hit in search.hits if _introduces(hit.passage, name)]
        hits.sort(key=lambda hit: hit.passage.language != language)  # stable: of equals the better comes first
        if not hits:
            return []
        found.append((hits[0], _opening(hits[0].passage, name)))
        told.update(tokens.content_terms(f"{hits[0].passage.title} {found[-1][1].shown}"))
    if asked.terms - told:
        return []
    if len(asked.names) == 1:
        return [*found, *_what_follows(found[0][1], searches[0].hits)]
    return list({unit.passage.id: (hit, unit) for hit, unit in reversed(found)}.values())[::-1]


def _what_follows(opening: Unit, near: Sequence[Hit]) -> list[tuple[Hit, Unit]]:
    """The next units of the same document, as far as its passages are ``near``."""
    of_it = sorted(
        (hit for hit in near if hit.passage.document_id == opening.passage.document_id),
        key=lambda h: h.passage.position,
    )
    after = [(hit, unit) for hit in of_it for unit in units(hit.passage) if unit.start >= opening.end]
    return after[:TOGETHER]


def naming_all(ranked: Sequence[evidence.Scored], asked: Products, language: Language) -> list[evidence.Scored]:
    """The best of the units that say something of all the products, where there are several."""
    if len(asked.names) == 1:
        return []
    every = [s for s in ranked if all(_names(s.unit.shown, name) for name in asked.names)]
    return [s for s in every if s.unit.passage.language == language and not in_force.is_over(s.unit.passage)][:TOGETHER]


def _opening(passage: Passage, name: str) -> Unit:
    """The first unit that names it, with the sentence after it where that points back: "It is", 它."""
    parts = units(passage)
    first = next((unit for unit in parts if _names(unit.shown, name)), parts[0])
    after = next((u for u in parts if u.position == first.position + 1), None)
    if after is None or not POINTS_BACK.match(after.text) or not first.kind == after.kind == "sentence":
        return first
    gap = "" if passage.language == "zh" else " "
    text = passage.text[first.start - passage.start : after.end - passage.start]
    return replace(first, end=after.end, text=text, shown=f"{first.shown}{gap}{after.shown}")


def _introduces(passage: Passage, name: str) -> bool:
    return (
        passage.position == 0 and _names(passage.title, name) and not in_force.is_over(passage) and bool(units(passage))
    )


def _names(text: str, name: str) -> bool:
    return _folded(name) in {_folded(m[0]) for m in tokens.PRODUCT.finditer(text)}


def _folded(name: str) -> str:
    return re.sub(r"[\s-]", "", name).lower()
