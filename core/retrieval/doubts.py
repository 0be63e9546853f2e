"""Whether two texts mean the same where their words do not tell, by an embedding model.

A synonym and another thing of the same kind look alike to a comparison of words: 患者 and 病人, 南京 and 西安. The two
clauses that differ in nothing else (a minimal pair) lie nearer together with the synonym. How near is too near to be
another thing differs between models and languages; pairs of both kinds (``data/pairs.yaml``) give the limit. So they
do for a sentence that shares hardly a word with its source: said in other words, or said of something else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from core.contracts import EmbeddingModel
from core.i18n import detect_language

PAIRS = Path(__file__).parent / "data" / "pairs.yaml"
KINDS = ("name", "overlap")
Limits = Mapping[str, Mapping[str, float]]  # by kind and language
_measured: dict[str, Limits] = {}  # of models that are not listed, by name


Kind = Literal["name", "overlap"]


@dataclass(frozen=True, slots=True)
class Doubt:
    """Whether ``said`` means the same as one of ``told``: with another name in it, or in quite other words."""

    kind: Kind
    said: str
    told: tuple[str, ...]


async def wrong(doubts: Sequence[Doubt], model: EmbeddingModel) -> Kind | None:
    """The kind of the first of ``doubts`` that does not mean the same, if one does not.

    The first question to a model that is not listed in ``data/pairs.yaml`` embeds 224 short texts.
    """
    if not doubts:
        return None
    limits = await limits_of(model)
    pairs = [(doubt.said, told) for doubt in doubts for told in doubt.told]
    nearness = iter(await _nearness(pairs, model))
    for doubt in doubts:
        near = max([next(nearness) for _ in doubt.told])
        if near < limits[doubt.kind]["zh" if detect_language(doubt.said) == "zh" else "en"]:
            return doubt.kind
    return None


async def limits_of(model: EmbeddingModel) -> Limits:
    """By kind and language, the cosine below which two texts do not mean the same."""
    known: Mapping[str, Limits] = _pairs()["limits"]
    if model.name in known:
        return known[model.name]
    if model.name not in _measured:
        _measured[model.name] = await measured_limits(model)
    return _measured[model.name]


async def measured_limits(model: EmbeddingModel) -> Limits:
    """The limits as the pairs give them now: where fewest pairs lie on the wrong side."""
    found: dict[str, dict[str, float]] = {}
    for kind in KINDS:
        for language, rows in _pairs()[kind].items():
            near = {name: await _nearness([_pair(row) for row in rows[name]], model) for name in ("same", "other")}
            found.setdefault(kind, {})[language] = _parting(near["same"], near["other"])
    return found


def _pair(row: Sequence[str]) -> tuple[str, str]:
    return (row[0], row[0].replace(row[1], row[2])) if len(row) == 3 else (row[0], row[1])


def _parting(same: Sequence[float], other: Sequence[float]) -> float:
    """The middle of the widest gap among those that part ``same`` (above) from ``other`` best.

    Something else taken for the same weighs twice: the reader is better off without a sentence than with a wrong one.

    >>> _parting([0.9, 0.8, 0.6], [0.7, 0.3])
    0.75
    """
    every = sorted([*same, *other])
    gaps = [(low, high) for low, high in pairwise(every) if high > low]

    def wrong(gap: tuple[float, float]) -> int:
        return sum(near <= gap[0] for near in same) + 2 * sum(near >= gap[1] for near in other)

    low, high = min(gaps, key=lambda gap: (wrong(gap), gap[0] - gap[1]))
    return (low + high) / 2


async def _nearness(pairs: Sequence[tuple[str, str]], model: EmbeddingModel) -> list[float]:
    """Cosines of ``pairs``."""
    vectors = await model.embed([text for pair in pairs for text in pair], kind="document")
    return [float(vectors[n] @ vectors[n + 1]) for n in range(0, len(vectors), 2)]


@lru_cache(maxsize=1)
def _pairs() -> dict[str, Any]:
    import yaml

    read: dict[str, Any] = yaml.safe_load(PAIRS.read_text("utf-8"))
    return read
