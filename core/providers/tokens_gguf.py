"""The tokenizer inside a GGUF file, for counting: byte-pair vocabularies, cut as llama.cpp cuts.

Source of the patterns: https://github.com/ggml-org/llama.cpp/blob/master/src/llama-vocab.cpp; a file whose pattern is not
listed, or whose vocabulary is of another kind, has no tokenizer here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from core.providers.gguf_file import GgufHeader, read_arrays, read_header

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
_QWEN35 = _QWEN2.replace(r"]?\p{L}+", r"]?[\p{L}\p{M}]+").replace(r"[^\s\p{L}\p{N}]", r"[^\s\p{L}\p{M}\p{N}]")
# ``tokenizer.ggml.pre`` -> the patterns that cut a text, one after the other
PATTERNS: dict[str, tuple[str, ...]] = {
    "gpt-2": (_GPT2,),
    "smollm": (r"\p{N}", _GPT2),
    "starcoder": (r"\p{N}", _GPT2),
    "llama-bpe": (_LLAMA3,),
    "llama3": (_LLAMA3,),
    "glm4": (_LLAMA3,),
    "chatglm-bpe": (_LLAMA3,),
    "qwen2": (_QWEN2,),
    "qwen35": (_QWEN35,),
}
_CONTROL, _USER_DEFINED = 3, 4  # kinds of tokens that stand in a text as they are
_KEYS = ("tokenizer.ggml.tokens", "tokenizer.ggml.merges", "tokenizer.ggml.token_type")


@dataclass(frozen=True, slots=True)
class Special:
    """The tokens a template may name. ``adds_bos``: llama.cpp puts one at the beginning."""

    bos: str
    eos: str
    adds_bos: bool


def tokenizer_of(header: GgufHeader) -> Tokenizer | None:
    """The tokenizer of the file, or ``None`` where this module cannot build it exactly."""
    if header.values.get("tokenizer.ggml.model") != "gpt2" or header.values.get("tokenizer.ggml.pre") not in PATTERNS:
        return None
    return _built(header.path, header.path.stat().st_mtime_ns)[0]


def special_tokens(header: GgufHeader) -> Special:
    tokens = _built(header.path, header.path.stat().st_mtime_ns)[1]

    def named(key: str) -> str:
        number = header.values.get(f"tokenizer.ggml.{key}_token_id")
        return tokens[number] if isinstance(number, int) and number < len(tokens) else ""

    adds = header.values.get("tokenizer.ggml.add_bos_token")
    bos = named("bos")
    return Special(bos, named("eos"), bool(bos) and bool(adds))


@lru_cache(maxsize=4)
def _built(path: Path, changed: int) -> tuple[Tokenizer, tuple[str, ...]]:
    """The tokenizer and all tokens; ``changed`` is in the cache's key."""
    from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers

    header = read_header(path, "tokens")
    found = read_arrays(header, _KEYS)
    tokens = found["tokenizer.ggml.tokens"]
    kinds = found["tokenizer.ggml.token_type"] or (1,) * len(tokens)
    merges = [tuple(merge.split(" ", 1)) for merge in found["tokenizer.ggml.merges"] or ()]
    known = {token: number for number, token in enumerate(tokens)}
    merges = [merge for merge in merges if "".join(merge) in known]  # one that makes no token is never done
    model = models.BPE(known, merges, ignore_merges=_whole(header))
    tokenizer = Tokenizer(model)
    cuts = [pre_tokenizers.Split(Regex(p), "isolated") for p in PATTERNS[header.values["tokenizer.ggml.pre"]]]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [*cuts, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    fixed = [
        AddedToken(t, normalized=False, special=k == _CONTROL)
        for t, k in zip(tokens, kinds, strict=True)
        if k in (_CONTROL, _USER_DEFINED)
    ]
    tokenizer.add_special_tokens(fixed)
    return tokenizer, tuple(tokens)


def _whole(header: GgufHeader) -> bool:
    """Whether a word that is a token is taken whole before any merge, as Llama 3 does."""
    return header.values.get("tokenizer.ggml.pre") in ("llama-bpe", "llama3")
