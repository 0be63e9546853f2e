"""Which documents a refusal names: those that come near to what is asked, though they do not answer it.

A word by chance is not near (自行 in 自行车, "sell" in "Do you sell bicycles?"), nor is meaning alone: of a question
from another world something is always the nearest. Both together tell, weighed as in the confidence of an answer. What
speaks against an answer there, a figure that is lacking or a name that is never used, does not speak against naming
what the documents do say; nor does it matter whether one unit stands out.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.retrieval import tokens
from core.retrieval.evidence import CONFIDENCE, NEARLY, Ask, Scored, spoken_of

MOST = 3
ENOUGH = 4.1  # log-odds that meaning, words and language bring into the confidence; docs/decisions/0059
TITLED, A_THIRD = 3.3, 1 / 3  # 3.3 is enough where so much of the title stands in the question
ACROSS = 1.25  # of meaning, where words cannot match because the source is in the other language
HALF = 0.5  # of the words, where nothing tells meaning


def nearest(ask: Ask, ranked: Sequence[Scored], passages: int) -> list[Scored]:
    """The best unit of each document that is near, best first.

    It need not be near itself: a sentence often leaves out what its document is about. A document that lies far
    behind the first is no help beside it.

    Args:
        passages: in the collections searched.
    """
    near = {s.unit.passage.document_id for s in ranked if _is_near(ask, s, passages)}
    best: dict[str, Scored] = {}
    for scored in ranked:
        if scored.unit.passage.document_id in near:
            best.setdefault(scored.unit.passage.document_id, scored)
    found = list(best.values())
    return [scored for scored in found if scored.score >= found[0].score - NEARLY][:MOST]


def _is_near(ask: Ask, scored: Scored, passages: int) -> bool:
    """Whether a unit names the product that is asked about, or comes near in meaning and words."""
    features = scored.features
    if features["code"] > 0:
        return True
    if scored.unit.passage.language != ask.language:
        return features.get("meaning", 0.0) >= ACROSS
    said = spoken_of(ask, scored.unit, passages)
    titled = _share_asked(ask, scored.unit.passage.title) >= A_THIRD
    if "meaning" not in features:
        return features["words"] >= HALF or (titled and said >= HALF / 2)
    chinese = CONFIDENCE["chinese"] if ask.language == "zh" else 0.0
    near = CONFIDENCE["meaning"] * features["meaning"] + CONFIDENCE["beyond"] * said + chinese
    return near >= (TITLED if titled else ENOUGH)


def _share_asked(ask: Ask, title: str) -> float:
    terms = tokens.content_terms(title)
    return sum(term in ask.weights for term in terms) / len(terms) if terms else 0.0
