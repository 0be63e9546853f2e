"""Risk events named in a text: defaults, investigations, recalls and others, by the patterns of ``data/events.yaml``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

_FILE = Path(__file__).parent / "data" / "events.yaml"
_LETTERS = {"zh": re.compile(r"[\u3400-\u9fff]"), "en": re.compile(r"[A-Za-z]")}
_DENIED = {  # just before an event, they say that it did not happen or has ended
    "zh": re.compile(r"(?:否认|澄清|不存在|没有|并非|并未|未被|撤销|解除|免于|和解|摆脱|避免|化解|无)[^，。；]{0,6}$"),
    "en": re.compile(
        r"\b(?:no|not|denies|denied|avoids?|avoided|without|cleared of|dismiss\w*|settles?)\b[^.;,]{0,20}$", re.I
    ),
}


@dataclass(frozen=True, slots=True)
class Event:
    """A kind of event and its place in the text."""

    kind: str
    start: int
    end: int


def kinds() -> tuple[str, ...]:
    return tuple(_patterns())


def events(text: str) -> list[Event]:
    """The events of ``text``, each kind once, at its first place that is not denied.

    >>> [e.kind for e in events("公司否认债务违约，但因信息披露被立案调查")]
    ['investigation']
    """
    found = []
    there = [language for language, letters in _LETTERS.items() if letters.search(text)]
    for kind, patterns in _patterns().items():
        for language in there:
            pattern = patterns[language]
            places = (m for m in pattern.finditer(text) if not _DENIED[language].search(text, 0, m.start()))
            if place := next(places, None):
                found.append(Event(kind, *place.span()))
                break
    return sorted(found, key=lambda event: event.start)


@cache
def _patterns() -> dict[str, dict[str, re.Pattern[str]]]:
    told = yaml.safe_load(_FILE.read_text("utf-8"))
    return {
        kind: {language: re.compile(pattern, re.IGNORECASE) for language, pattern in patterns.items()}
        for kind, patterns in told.items()
    }
