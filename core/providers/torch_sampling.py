"""Choose the next token of each row of a batch: temperature, top-p, top-k, a seed and a grammar of its own per row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from core.providers.torch_grammar import Grammar


@dataclass(frozen=True, slots=True)
class Drawn:
    """A token that was chosen. Log-probabilities are of the model's own distribution under the grammar, before
    temperature; ``top`` has the likeliest tokens with theirs."""

    token: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


@dataclass(slots=True)
class Sampler:
    """How one request chooses. ``temperature`` 0 takes the likeliest; ``top_logprobs`` ``None`` reports none."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0  # 0 for all
    seed: int | None = None
    top_logprobs: int | None = None
    grammar: Grammar | None = None
    _generator: Any = None

    @property
    def plain(self) -> bool:
        """Whether an engine that only knows temperature, top-p and top-k can serve it."""
        return self.seed is None and self.top_logprobs is None and self.grammar is None

    def generator(self, device: torch.device) -> Any:
        """The seeded source of chance, which goes on from token to token; ``None`` for the process's own."""
        import torch

        if self.seed is not None and self._generator is None:
            self._generator = torch.Generator(device).manual_seed(self.seed % (1 << 63))
        return self._generator


def draw(logits: torch.Tensor, samplers: Sequence[Sampler]) -> list[Drawn]:
    """One token per row. Shape: ``logits`` ``(rows, vocabulary)``, row i chosen by ``samplers[i]``."""
    logits = logits.float()
    for row, sampler in enumerate(samplers):
        if sampler.grammar is not None:
            logits = sampler.grammar.mask(logits, row)
    tokens = logits.argmax(-1)
    for row, sampler in enumerate(samplers):
        if sampler.temperature > 0:
            tokens[row] = _sampled(logits[row], sampler)
    chosen = tokens.tolist()
    drawn = [Drawn(token) for token in chosen]
    for row, sampler in enumerate(samplers):
        if sampler.top_logprobs is not None:
            drawn[row] = _measured(logits[row], chosen[row], sampler.top_logprobs)
        if sampler.grammar is not None:
            sampler.grammar.accept(chosen[row])
    return drawn


def _sampled(logits: torch.Tensor, sampler: Sampler) -> torch.Tensor:
    """Shape: ``logits`` ``(vocabulary,)``; a scalar tensor is returned."""
    import torch

    scaled = logits / sampler.temperature
    if 0 < sampler.top_k < scaled.shape[-1]:
        least = scaled.topk(sampler.top_k).values[-1]
        scaled = scaled.masked_fill(scaled < least, -torch.inf)
    probabilities = scaled.softmax(-1)
    if sampler.top_p < 1.0:
        ordered, order = probabilities.sort(descending=True)
        outside = ordered.cumsum(-1) - ordered >= max(sampler.top_p, 1e-6)  # the first that reaches top_p stays in
        probabilities = probabilities.index_fill(0, order[outside], 0.0)
    return torch.multinomial(probabilities, 1, generator=sampler.generator(logits.device))[0]


def _measured(logits: torch.Tensor, token: int, count: int) -> Drawn:
    logprobs = logits.log_softmax(-1)
    values, tokens = logprobs.topk(max(count, 1))
    top = tuple((t, v) for t, v in zip(tokens.tolist(), values.tolist(), strict=True) if v > float("-inf"))
    return Drawn(token, min(0.0, float(logprobs[token])), top[: max(count, 1)])
