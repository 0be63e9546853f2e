"""Hold an answer to a JSON Schema or to the form of a tool call, token by token, through llguidance.

An answer that comes near its limit of tokens is brought to its end: strings and lists are closed, what is optional is left
out, so that whoever asked for JSON gets JSON. It is still told that the limit ended it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from core.errors import BadRequest, MissingPackage
from core.providers.least_json import least

if TYPE_CHECKING:
    import torch

# Without this a small model may write spaces for ever, which every JSON grammar allows.
_COMPACT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_SPARE = (
    6  # tokens beyond the shortest answer: the one that is being written, and pieces that the tokenizer cuts otherwise
)
_IN_TEXT = ('"',)  # signs whose tokens are preferred, in this order, when room runs out inside a string …
_BETWEEN = ("}]", '"}]', '"}], :{[')  # … and elsewhere
_LETTERS = ("a", "Z", "7")  # where all of them may come next, a string is being written


@dataclass(frozen=True, slots=True)
class Closing:
    """Which tokens bring JSON to its end. Masks of shape ``(vocabulary,)``, the preferred ones first."""

    in_text: tuple[torch.Tensor, ...]
    between: tuple[torch.Tensor, ...]
    letters: torch.Tensor  # a few tokens

    def among(self, allowed: torch.Tensor) -> torch.Tensor:
        """Those of the ``allowed`` tokens that end soonest; all of them where none ends anything."""
        text = bool(len(self.letters)) and bool(allowed[self.letters].all())
        masks = self.in_text if text else self.between
        return next((both for mask in masks if (both := allowed & mask[: len(allowed)]).any()), allowed)


class Grammar:
    """The state of one answer. ``over``: the grammar is satisfied and allows nothing more.

    ``hurried``: it was brought to its end because room ran out.
    """

    def __init__(self, matcher: Any, vocabulary: int, closing: Closing | None = None, needed: int = 0) -> None:
        """``closing`` is turned to when no more than ``needed`` tokens are left."""
        import torch

        self.room: int | None = None  # tokens the answer may still take, where there is a limit
        self.hurried = False
        self._closing, self._needed = closing, needed
        self._matcher = matcher
        self._bits = torch.full((1, -(-vocabulary // 32)), -1, dtype=torch.int32)

    @property
    def over(self) -> bool:
        return bool(self._matcher.is_stopped())

    def mask(self, logits: torch.Tensor, row: int) -> torch.Tensor:
        """``logits`` with -inf in ``row`` for every token that may not come next. Shape: ``(rows, vocabulary)``."""
        import torch

        if self.over:
            return logits
        self._matcher.unsafe_compute_mask_ptr(self._bits.data_ptr(), self._bits.numel() * 4)
        allowed = (self._bits.view(-1, 1) >> torch.arange(32, dtype=torch.int32)) & 1
        allowed = allowed.flatten()[: logits.shape[-1]] != 0
        if self._closing and self.room is not None and self.room <= self._needed:
            wished = logits[row].to("cpu")[: len(allowed)].masked_fill(~allowed, -torch.inf).argmax()
            allowed = self._closing.among(allowed)
            self.hurried = self.hurried or not bool(allowed[wished])
        forbidden = ~allowed
        if len(forbidden) < logits.shape[-1]:
            forbidden = torch.nn.functional.pad(forbidden, (0, logits.shape[-1] - len(forbidden)), value=True)
        logits[row] = logits[row].masked_fill(forbidden.to(logits.device), -torch.inf)
        return logits

    def accept(self, token: int) -> None:
        """The token was chosen; the next mask follows from it."""
        if not self.over:
            self._matcher.consume_token(token)
            self.room = None if self.room is None else self.room - 1


class Grammars:
    """Makes grammars for one tokenizer, whose vocabulary is read once."""

    def __init__(
        self, tokenizer: Any, vocabulary: int, end_tokens: frozenset[int], *, provider: str, model: str
    ) -> None:
        self._tokenizer, self._vocabulary, self._end = tokenizer, vocabulary, end_tokens
        self._known: dict[str, Any] = {"provider": provider, "model": model}

    def for_schema(self, schema: Mapping[str, Any]) -> Grammar:
        """Raises: BadRequest: the schema says something that cannot be held to."""
        shortest = len(self._tokenizer.encode(least(schema), add_special_tokens=False))
        return self._open(_grammar_of(schema), needed=shortest + _SPARE)

    def for_text(self, lark: str) -> Grammar:
        """A grammar in Lark form, as llguidance reads it."""
        from llguidance import LLMatcher

        return self._open(LLMatcher.grammar_from_lark(lark))

    def _open(self, grammar: str, needed: int = 0) -> Grammar:
        from llguidance import LLMatcher

        matcher = LLMatcher(self._vocabulary_trie, grammar, log_level=0)
        if matcher.is_error():
            raise BadRequest(**self._known, detail=str(matcher.get_error()).partition("\n")[0])
        return Grammar(matcher, self._vocabulary, self._closing if needed else None, needed)

    @cached_property
    def _closing(self) -> Closing:
        import torch

        size = -(-self._vocabulary // 32) * 32
        known = min(self._vocabulary, len(self._tokenizer))
        # As they are written in byte-level and SentencePiece vocabularies, where signs stand for themselves.
        texts = [
            (t or "").replace("Ġ", " ").replace("▁", " ") for t in self._tokenizer.convert_ids_to_tokens(range(known))
        ]

        def of(signs: str) -> torch.Tensor:
            mask = torch.zeros(size, dtype=torch.bool)
            mask[[token for token, text in enumerate(texts) if text and set(text) <= set(signs)]] = True
            return mask

        letters = [token for token, text in enumerate(texts) if text in _LETTERS]
        return Closing(tuple(map(of, _IN_TEXT)), tuple(map(of, _BETWEEN)), torch.tensor(letters, dtype=torch.long))

    @cached_property
    def _vocabulary_trie(self) -> Any:
        try:
            from llguidance.hf import from_tokenizer
        except ImportError as error:
            raise MissingPackage(
                package="llguidance", needed_for="schema, tool_choice", install='pip install "touchstone-llm[local]"'
            ) from error
        return from_tokenizer(self._tokenizer, n_vocab=self._vocabulary, eos_token=sorted(self._end) or None)


def compact(schema: Mapping[str, Any]) -> dict[str, Any]:
    """``schema`` with the one way of writing white space that is allowed."""
    return {**schema, "x-guidance": _COMPACT}


def _grammar_of(schema: Mapping[str, Any]) -> str:
    from llguidance import LLMatcher

    return LLMatcher.grammar_from_json_schema(json.dumps(compact(schema)))
