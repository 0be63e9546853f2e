"""Chinese and English texts from one catalogue, and the one place where secrets are masked.

A catalogue is a folder of ``zh.yaml`` and ``en.yaml`` with the same nested keys (held equal by a test).
``core/locales`` is always there; an app adds its own with :func:`add_catalogue`.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

LANGUAGES = ("zh", "en")
_folders: list[Path] = [Path(__file__).parent / "locales"]
_CJK = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_LETTER = re.compile(r"[A-Za-z\u00c0-\u024f]+")
_SECRET = re.compile(
    r"(?P<head>\b(?:sk|pk|rk|ghp|gho|(?-i:hf)|xox[abp])[-_]|\bBearer\s+|\bapi[-_]?key[\"']?\s*[:=]\s*[\"']?)(?P<tail>[A-Za-z0-9][\w\-.]{5,})",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"(?<=://)[^/\s@:]*:[^/\s@]+@")
_STAND_INS = frozenset(
    {"dummy", "dummy-key", "lm-studio", "no-key", "no-key-needed", "not-needed", "ollama", "sk-no-key-required"}
)
_known_secrets: set[str] = set()


def add_catalogue(folder: Path) -> None:
    """Add a folder of catalogues; later folders win."""
    if folder not in _folders:
        _folders.append(folder)
        catalogue.cache_clear()


@lru_cache
def catalogue(language: str) -> dict[str, str]:
    """All texts of ``language`` as one flat dict: ``{"error.missing_key": "…"}``."""
    import yaml

    texts: dict[str, str] = {}
    for folder in _folders:
        text = (folder / f"{language}.yaml").read_text("utf-8")
        # The loader in C reads forty times as fast; a few systems have no build of it.
        tree = yaml.load(text, Loader=yaml.CSafeLoader) if yaml.__with_libyaml__ else yaml.safe_load(text)
        _flatten(tree or {}, "", texts)
    return texts


def _flatten(tree: dict[str, Any], prefix: str, into: dict[str, str]) -> None:
    for key, value in tree.items():
        if isinstance(value, dict):
            _flatten(value, f"{prefix}{key}.", into)
        else:
            into[f"{prefix}{key}".removesuffix("._")] = str(value)


class Phrase:
    """A text of the catalogue as a parameter of another: ``InvalidSetting(value=Phrase("word.nothing"))``."""

    __slots__ = ("key", "params")

    def __init__(self, key: str, **params: Any) -> None:
        self.key = key
        self.params = params

    def text(self, language: str) -> str:
        return message(self.key, language, **self.params)

    def __str__(self) -> str:
        return self.text("en")

    __repr__ = __str__


def message(key: str, language: str, /, **params: Any) -> str:
    """The text for ``key``, filled with ``params``; those that are :class:`Phrase` speak ``language`` too.

    A key that is missing is an error of ours and shows itself: the key and its parameters are returned.
    In YAML a key that is both a text and a parent keeps its own text under ``_``.
    """
    template = catalogue(language if language in LANGUAGES else "en").get(key)
    if template is None:
        return f"{key} {params}" if params else key
    filled = {name: value.text(language) if isinstance(value, Phrase) else value for name, value in params.items()}
    return template.format_map(_Blank(filled))


class _Blank(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "?"


def detect_language(text: str, default: str = "en") -> str:
    """``zh`` or ``en`` by counting Han characters against words: 'KT-210 怎么退货' is Chinese."""
    han, words = len(_CJK.findall(text)), len(_LETTER.findall(text))
    if not han and not words:
        return default
    return "zh" if han >= 2 * words or (han >= 2 and han >= words) else "en"


def preferred_language() -> str:
    """The language of this process: ``TOUCHSTONE_LANG``, else the locale, else English."""
    for variable in ("TOUCHSTONE_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(variable, "").lower()
        if value:
            return "zh" if value.startswith("zh") else "en"
    return "en"


def remember_secret(value: str) -> None:
    """Mask ``value`` wherever :func:`secret_free` is applied from now on.

    Short values and the stand-ins people give to servers that need no key are words, not secrets.
    """
    if len(value) >= 6 and value.lower() not in _STAND_INS:
        _known_secrets.add(value)


def secret_free(text: str) -> str:
    """``text`` with known secrets and what looks like one masked: ``sk-…abcd``, ``https://…@host``."""
    for secret in sorted(_known_secrets, key=len, reverse=True):
        text = text.replace(secret, masked(secret))
    text = _USERINFO.sub("…@", text)
    return _SECRET.sub(lambda m: m["head"] + masked(m["tail"]), text)


def masked(secret: str) -> str:
    return f"…{secret[-4:]}" if len(secret) >= 12 else "…"
