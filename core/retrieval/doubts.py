"""Whether a clause still says the same with one thing in it exchanged, told by an embedding model.

A synonym and another thing of the same kind look alike to a comparison of words: 患者 and 病人, 南京 and 西安. The two
clauses that differ in nothing else (a minimal pair) lie nearer together with the synonym. How near is too near to be
another thing differs between models and languages; pairs of both kinds (``data/pairs.yaml``) give the limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.contracts import EmbeddingModel
from core.i18n import LANGUAGES, detect_language

if TYPE_CHECKING:
    from core.retrieval.slots import Slot

PAIRS = Path(__file__).parent / "data" / "pairs.yaml"
_measured: dict[str, dict[str, float]] = {}  # limits of models that are not listed, by name


async def another(doubts: Sequence[Slot], model: EmbeddingModel) -> bool:
    """Whether one of ``doubts`` puts another thing in the place of what the source names.

    The first question to a model that is not listed in ``data/pairs.yaml`` embeds 128 short clauses.
    """
    if not doubts:
        return False
    limits = await limits_of(model)
    nearness = await _nearness([(doubt.told, doubt.swapped) for doubt in doubts], model)
    return any(
        near < limits["zh" if detect_language(doubt.told) == "zh" else "en"]
        for near, doubt in zip(nearness, doubts, strict=True)
    )


async def limits_of(model: EmbeddingModel) -> Mapping[str, float]:
    """By language, the cosine below which two clauses that differ in one thing speak of two things."""
    known: Mapping[str, Mapping[str, float]] = _pairs()["limits"]
    if model.name in known:
        return known[model.name]
    if model.name not in _measured:
        _measured[model.name] = await measured_limits(model)
    return _measured[model.name]


async def measured_limits(model: EmbeddingModel) -> dict[str, float]:
    """The limits as the pairs give them now: where fewest pairs lie on the wrong side."""
    found = {}
    for language in LANGUAGES:
        kinds = {
            kind: sorted(await _nearness([(text, text.replace(old, new)) for text, old, new in rows], model))
            for kind, rows in _pairs()[language].items()
        }
        found[language] = _parting(kinds["same"], kinds["other"])
    return found


def _parting(same: Sequence[float], other: Sequence[float]) -> float:
    """The middle of the widest gap among those that part ``same`` (above) from ``other`` best.

    >>> _parting([0.9, 0.8, 0.6], [0.7, 0.3])
    0.75
    """
    every = sorted([*same, *other])
    gaps = [(low, high) for low, high in zip(every, every[1:], strict=False) if high > low]

    def wrong(gap: tuple[float, float]) -> int:
        return sum(near <= gap[0] for near in same) + sum(near >= gap[1] for near in other)

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
