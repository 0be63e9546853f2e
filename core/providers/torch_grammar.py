"""Hold an answer to a JSON Schema or to the form of a tool call, token by token, through llguidance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from core.errors import BadRequest, MissingPackage

if TYPE_CHECKING:
    import torch

# Without this a small model may write spaces for ever, which every JSON grammar allows.
_COMPACT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


class Grammar:
    """The state of one answer. ``over``: the grammar is satisfied and allows nothing more."""

    def __init__(self, matcher: Any, vocabulary: int) -> None:
        import torch

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
        forbidden = allowed.flatten()[: logits.shape[-1]] == 0
        if len(forbidden) < logits.shape[-1]:
            forbidden = torch.nn.functional.pad(forbidden, (0, logits.shape[-1] - len(forbidden)), value=True)
        logits[row] = logits[row].masked_fill(forbidden.to(logits.device), -torch.inf)
        return logits

    def accept(self, token: int) -> None:
        """The token was chosen; the next mask follows from it."""
        if not self.over:
            self._matcher.consume_token(token)


class Grammars:
    """Makes grammars for one tokenizer, whose vocabulary is read once."""

    def __init__(
        self, tokenizer: Any, vocabulary: int, end_tokens: frozenset[int], *, provider: str, model: str
    ) -> None:
        self._tokenizer, self._vocabulary, self._end = tokenizer, vocabulary, end_tokens
        self._known: dict[str, Any] = {"provider": provider, "model": model}

    def for_schema(self, schema: Mapping[str, Any]) -> Grammar:
        """Raises: BadRequest: the schema says something that cannot be held to."""
        return self._open(_grammar_of(schema))

    def for_text(self, lark: str) -> Grammar:
        """A grammar in Lark form, as llguidance reads it."""
        from llguidance import LLMatcher

        return self._open(LLMatcher.grammar_from_lark(lark))

    def _open(self, grammar: str) -> Grammar:
        from llguidance import LLMatcher

        matcher = LLMatcher(self._vocabulary_trie, grammar, log_level=0)
        if matcher.is_error():
            raise BadRequest(**self._known, detail=str(matcher.get_error()).partition("\n")[0])
        return Grammar(matcher, self._vocabulary)

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
