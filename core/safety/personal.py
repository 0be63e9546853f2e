"""Personal data that have a form: masked before a text is learned from.

    >>> mask("Write to li.na@example.com or 138 0013 8000").text
    'Write to [email] or [phone]'

Names and addresses have no form and are not found: a person who gives data away reads them first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Masked:
    """The text without what was found, and how many of each kind."""

    text: str
    found: dict[str, int] = field(default_factory=dict)


def mask(text: str) -> Masked:
    """``text`` with e-mail addresses, identity and card numbers and phone numbers replaced by ``[kind]``."""
    found: dict[str, int] = {}
    for kind, pattern, holds in _KINDS:

        def put(match: re.Match[str], kind: str = kind, holds: Callable[[str], bool] = holds) -> str:
            if not holds(match[0]):
                return match[0]
            found[kind] = found.get(kind, 0) + 1
            return f"[{kind}]"

        text = pattern.sub(put, text)
    return Masked(text, found)


def _luhn(text: str) -> bool:
    """The check digit of payment cards (ISO/IEC 7812-1)."""
    digits = [int(c) for c in text if c.isdigit()]
    doubled = (d * 2 - 9 * (d > 4) if place % 2 else d for place, d in enumerate(reversed(digits)))
    return sum(doubled) % 10 == 0


def _resident(text: str) -> bool:
    """The check character of a Chinese resident identity number (GB 11643-1999)."""
    weighed = sum(int(c) * (2 ** (17 - place) % 11) for place, c in enumerate(text[:17]))
    return "10X98765432"[weighed % 11] == text[17].upper()


def _phone(text: str) -> bool:
    """Long enough for a phone, and no date."""
    return 8 <= sum(c.isdigit() for c in text) <= 15 and not re.fullmatch(r"(19|20)\d\d[- .]\d\d[- .]\d\d", text)


_KINDS: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("email", re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"), lambda _: True),
    ("id", re.compile(r"(?<![0-9A-Za-z])\d{17}[\dXx](?![0-9A-Za-z])"), _resident),
    ("card", re.compile(r"(?<![0-9A-Za-z])\d(?:[ -]?\d){12,18}(?![0-9A-Za-z])"), _luhn),
    # Of phones the Chinese mobile number is known by itself, others by + or by groups: an order number is a bare run.
    (
        "phone",
        re.compile(r"(?<![0-9A-Za-z-])(?:\+?86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}(?![0-9A-Za-z])"),
        lambda _: True,
    ),
    ("phone", re.compile(r"(?<![0-9A-Za-z])\+\d[\d ()-]{6,17}\d(?![0-9A-Za-z])"), _phone),
    ("phone", re.compile(r"(?<![0-9A-Za-z-])0\d{2,4}[ -]\d{3,4}[ -]?\d{3,4}(?![0-9A-Za-z])"), _phone),
)
